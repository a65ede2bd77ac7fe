//! An engine that runs: started, awaited, asked, closed.

use super::helper::{self, Helper};
use super::running::{Launch, Running};
use super::{EngineError, EngineSpec, Event, Server};
use crate::driver::address::Address;
use crate::driver::probe::{self, ProbeError};
use crate::driver::process::Graces;
use crate::driver::watchdog::Watchdog;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often a starting engine is asked whether it is ready.
const POLL: Duration = Duration::from_millis(100);
/// How long one question to an engine may take.
const QUESTION: Duration = Duration::from_secs(2);
/// How often a wait is reported.
const REPORT: Duration = Duration::from_secs(1);
/// Who owns the models of a simulator, as it says itself.
const SIMULATOR: &str = "lmrun-sim";
/// Lines of its log that an error shows.
pub(super) const TAIL: usize = 15;

/// Whether an engine can be used.
#[derive(Debug)]
pub enum Readiness {
    /// Its process lives, it says it is healthy, and it names its model.
    Ready {
        /// How long that took since its start, seconds.
        after_s: f64,
    },
    /// It is not, and why.
    NotReady(EngineError),
}

/// What an engine that was asked lacks to be ready.
enum Missing {
    /// Time, it seems.
    Yet(String),
    /// It answers something else than it should.
    Wrong(String),
}

/// A started engine. Dropping it kills it.
pub struct Engine {
    /// What it was started from.
    pub spec: EngineSpec,
    /// Where it listens.
    pub port: u16,
    address: Address,
    key: Option<String>,
    running: Running,
    started: Instant,
    was_ready: Mutex<bool>,
    closed: Mutex<bool>,
    abort: watch::Sender<Option<String>>,
    keeps_alive: Arc<AtomicBool>,
    events: Sender<Event>,
    helpers: Mutex<Vec<Arc<Helper>>>,
}

impl Engine {
    /// Starts the process and returns at once.
    ///
    /// # Errors
    /// When its port is taken or its program is not to be had.
    pub async fn start(
        spec: EngineSpec,
        port: u16,
        log_dir: &Path,
        watchdog: &Arc<Watchdog>,
        events: Sender<Event>,
        helpers: Vec<Arc<Helper>>,
    ) -> Result<Self, EngineError> {
        let running = Running::start(&spec, Launch { port, log_dir, watchdog, events: &events }).await?;
        let abort = watch::channel(None).0;
        Ok(Self {
            address: spec.address(port),
            key: spec.api_key(),
            spec,
            port,
            running,
            started: Instant::now(),
            was_ready: Mutex::default(),
            closed: Mutex::default(),
            abort,
            keeps_alive: Arc::new(AtomicBool::new(true)),
            events,
            helpers: Mutex::new(helpers),
        })
    }

    /// Where it answers.
    pub fn base(&self) -> String {
        self.address.base()
    }

    /// The headers that every request to it carries: its API key, if it takes one.
    fn headers(&self) -> BTreeMap<String, String> {
        let bearer = self.key.as_ref().map(|key| ("authorization".to_owned(), format!("Bearer {key}")));
        bearer.into_iter().collect()
    }

    /// Where requests to it go.
    pub fn server(&self) -> Server {
        let spec = &self.spec;
        Server {
            name: spec.name.as_str().into(),
            kind: spec.kind.as_str().into(),
            simulated: spec.simulated,
            model: spec.model.as_str().into(),
            address: self.address.clone(),
            headers: self.headers(),
            stream_end: spec.stream_end,
            chat_path: spec.chat_path.clone(),
            completions_path: spec.completions_path.clone(),
            extra_body: spec.extra_body.clone(),
            keeps_alive: self.keeps_alive.clone(),
            abort: self.abort.subscribe(),
        }
    }

    /// Gives up every request that is under way to it.
    pub fn give_up(&self, reason: &str) {
        self.abort.send_replace(Some(reason.into()));
    }

    /// Waits until it is ready, has died, or `limit` is over.
    pub async fn wait_until_ready(&self, limit: Duration) -> Readiness {
        let deadline = Instant::now() + limit;
        let mut reported = Instant::now();
        loop {
            if let Some(status) = self.running.exit() {
                return Readiness::NotReady(self.died_at_start(status));
            }
            let awaited = match (self.ask().await, &self.running) {
                (Ok(()), _) => return self.is_ready(),
                // It is not starting: what it answers, it will answer in a minute.
                (Err(Missing::Wrong(problem)), Running::Elsewhere) => {
                    return Readiness::NotReady(EngineError::Unfit { who: self.spec.who(), problem });
                }
                (Err(Missing::Yet(awaited) | Missing::Wrong(awaited)), _) => awaited,
            };
            if Instant::now() >= deadline {
                return Readiness::NotReady(self.not_ready(limit, awaited));
            }
            if reported.elapsed() >= REPORT {
                reported = Instant::now();
                self.report_wait(&awaited);
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                _ = self.running.exited() => {}
            }
        }
    }

    /// How many tokens it counts in `text`; `None` where it does not count.
    pub async fn count_tokens(&self, text: &str) -> Option<u64> {
        let url = format!("{}{}", self.base(), self.spec.tokenize_path);
        probe::count_tokens(&url, self.key.as_deref(), &self.spec.model, text, QUESTION).await.ok()
    }

    /// Whether it lives and says that it is healthy, now.
    pub async fn is_healthy(&self) -> bool {
        let url = format!("{}{}", self.base(), self.spec.health_path);
        let alive = !self.is_closed() && self.running.exit().is_none();
        alive && probe::get_as(&url, self.key.as_deref(), QUESTION).await.is_ok()
    }

    /// Waits for its process to end by itself.
    pub async fn died(&self) -> EngineError {
        let status = self.running.exited().await;
        EngineError::Died { who: self.spec.who(), status, tail: self.running.log_tail(TAIL) }
    }

    /// Ends it and everything that came from it; the second call does nothing.
    ///
    /// # Errors
    /// When something of it survives even SIGKILL.
    pub async fn close(&self) -> Result<(), EngineError> {
        if std::mem::replace(&mut *self.closed.lock(), true) {
            return Ok(());
        }
        self.give_up("the engine was closed");
        let graces =
            Graces { interrupt_s: self.spec.interrupt_grace_s.0, terminate_s: self.spec.terminate_grace_s.0 };
        let began = Instant::now();
        let closed = self.running.close(&self.spec, graces).await;
        if closed.is_ok() && !matches!(self.running, Running::Elsewhere) {
            let (name, took_s) = (self.spec.name.clone(), began.elapsed().as_secs_f64());
            let _ = self.events.send(Event::EngineClosed { name, port: self.port, took_s });
        }
        let helpers = std::mem::take(&mut *self.helpers.lock());
        closed.and(helper::end(helpers).await)
    }

    /// Whether [`Engine::close`] was called.
    pub fn is_closed(&self) -> bool {
        *self.closed.lock()
    }

    /// Asks once; says what is missing.
    async fn ask(&self) -> Result<(), Missing> {
        let (base, key) = (self.base(), self.key.as_deref());
        let url = format!("{base}{}", self.spec.health_path);
        probe::get_as(&url, key, QUESTION).await.map_err(|e| self.missing(&e))?;
        let served = probe::models_as(&base, key, QUESTION).await.map_err(|e| self.missing(&e))?;
        let Some(model) = served.iter().find(|model| model.id == self.spec.model) else {
            let ids: Vec<&str> = served.iter().map(|model| model.id.as_str()).collect();
            let problem = format!("it serves {}, not `{}`", probe::named(&ids), self.spec.model);
            return Err(Missing::Wrong(problem));
        };
        let is_simulated = model.owned_by == SIMULATOR && matches!(self.running, Running::Elsewhere);
        if is_simulated && !self.spec.simulated {
            let problem = "it is a simulator, whose numbers are made up: give `simulated: true`";
            return Err(Missing::Wrong(problem.into()));
        }
        Ok(())
    }

    /// What an answer like that leaves to be awaited.
    fn missing(&self, error: &ProbeError) -> Missing {
        let starts = !matches!(self.running, Running::Elsewhere);
        match error {
            ProbeError::Unreachable { .. } if starts => Missing::Yet("it does not answer yet".into()),
            ProbeError::Unreachable { .. } | ProbeError::Status { status: 500.., .. } => {
                Missing::Yet(error.to_string())
            }
            answered => Missing::Wrong(answered.to_string()),
        }
    }

    fn is_ready(&self) -> Readiness {
        let after_s = self.started.elapsed().as_secs_f64();
        if !std::mem::replace(&mut *self.was_ready.lock(), true) {
            let (name, port) = (self.spec.name.clone(), self.port);
            let _ = self.events.send(Event::EngineReady { name, port, after_s });
        }
        Readiness::Ready { after_s }
    }

    fn report_wait(&self, awaited: &str) {
        let _ = self.events.send(Event::EngineWaiting {
            name: self.spec.name.clone(),
            elapsed_s: self.started.elapsed().as_secs_f64(),
            status: self.running.last_line().unwrap_or_else(|| awaited.into()),
        });
    }

    fn died_at_start(&self, status: String) -> EngineError {
        let tail = self.running.log_tail(TAIL);
        EngineError::DiedAtStart { who: self.spec.who(), status, tail }
    }

    fn not_ready(&self, limit: Duration, awaited: String) -> EngineError {
        if matches!(self.running, Running::Elsewhere) {
            let problem = format!("{awaited}, for {} s", limit.as_secs_f64());
            return EngineError::Unfit { who: self.spec.who(), problem };
        }
        let tail = self.running.log_tail(TAIL);
        EngineError::NotReady { who: self.spec.who(), limit_s: limit.as_secs_f64(), awaited, tail }
    }
}

/// The log files of the engine at `port`: standard output, standard error.
pub fn logs(log_dir: &Path, port: u16) -> [PathBuf; 2] {
    ["stdout", "stderr"].map(|stream| log_dir.join(format!("{port}-{stream}.log")))
}

pub(super) fn said(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "exit status unknown".into(), |status| status.to_string())
}
