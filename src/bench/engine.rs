//! An engine that runs: started, awaited, asked, closed.

use super::helper::{self, Helper};
use super::{EngineError, EngineSpec, Event, Server};
use crate::driver::port;
use crate::driver::probe::{self, ProbeError};
use crate::driver::process::{CommandLine, Graces, Process};
use crate::driver::watchdog::Watchdog;
use parking_lot::Mutex;
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

/// A started engine. Dropping it kills it.
pub struct Engine {
    /// What it was started from.
    pub spec: EngineSpec,
    /// Where it listens.
    pub port: u16,
    process: Process,
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
        if let Some(occupant) = port::occupant(&spec.host, port).await {
            let elsewhere = "choose other ports with `-p P1 P2`";
            return Err(EngineError::PortInUse { who: spec.who(), port, occupant, elsewhere });
        }
        let [stdout, stderr] = logs(log_dir, port);
        let line = CommandLine {
            argv: spec.argv(port),
            env: spec.environment(port),
            unset: spec.unset_env.clone(),
            stdout: stdout.clone(),
            stderr,
        };
        let process = Process::start(&line, watchdog)
            .map_err(|source| EngineError::Start { who: spec.who(), source })?;
        let _ = events.send(Event::EngineStarting {
            name: spec.name.clone(),
            port,
            argv: line.argv,
            log: stdout,
        });
        let abort = watch::channel(None).0;
        Ok(Self {
            spec,
            port,
            process,
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
        format!("http://{}", self.authority())
    }

    /// `host:port`.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.spec.host, self.port)
    }

    /// Where requests to it go.
    pub fn server(&self) -> Server {
        let spec = &self.spec;
        Server {
            name: spec.name.as_str().into(),
            kind: spec.kind.as_str().into(),
            simulated: spec.simulated,
            model: spec.model.as_str().into(),
            authority: self.authority(),
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
            if let Some(status) = self.process.exit() {
                return Readiness::NotReady(self.died_at_start(status));
            }
            let Err(awaited) = self.ask().await else { return self.is_ready() };
            if Instant::now() >= deadline {
                return Readiness::NotReady(self.not_ready(limit, awaited));
            }
            if reported.elapsed() >= REPORT {
                reported = Instant::now();
                self.report_wait(&awaited);
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                _ = self.process.exited() => {}
            }
        }
    }

    /// How many tokens it counts in `text`; `None` where it does not count.
    pub async fn count_tokens(&self, text: &str) -> Option<u64> {
        let url = format!("{}{}", self.base(), self.spec.tokenize_path);
        probe::count_tokens(&url, &self.spec.model, text, QUESTION).await.ok()
    }

    /// Whether it lives and says that it is healthy, now.
    pub async fn is_healthy(&self) -> bool {
        let url = format!("{}{}", self.base(), self.spec.health_path);
        self.process.exit().is_none() && probe::get(&url, QUESTION).await.is_ok()
    }

    /// Waits for its process to end by itself.
    pub async fn died(&self) -> EngineError {
        let status = self.process.exited().await;
        EngineError::Died { who: self.spec.who(), status: said(status), tail: self.process.log_tail(TAIL) }
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
        let pids = self.process.close(graces).await;
        let closed = if pids.is_empty() {
            let (name, took_s) = (self.spec.name.clone(), began.elapsed().as_secs_f64());
            let _ = self.events.send(Event::EngineClosed { name, port: self.port, took_s });
            Ok(())
        } else {
            Err(EngineError::Survivors { who: self.spec.who(), pids })
        };
        let helpers = std::mem::take(&mut *self.helpers.lock());
        closed.and(helper::end(helpers).await)
    }

    /// Whether [`Engine::close`] was called.
    pub fn is_closed(&self) -> bool {
        *self.closed.lock()
    }

    /// Asks once; says what is missing.
    async fn ask(&self) -> Result<(), String> {
        let url = format!("{}{}", self.base(), self.spec.health_path);
        probe::get(&url, QUESTION).await.map_err(|e| missing(&e))?;
        let served = probe::models(&self.base(), QUESTION).await.map_err(|e| missing(&e))?;
        if served.contains(&self.spec.model) {
            return Ok(());
        }
        Err(format!("it serves {}, not `{}`", probe::named(&served), self.spec.model))
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
            status: self.process.last_line().unwrap_or_else(|| awaited.into()),
        });
    }

    fn died_at_start(&self, status: ExitStatus) -> EngineError {
        let tail = self.process.log_tail(TAIL);
        EngineError::DiedAtStart { who: self.spec.who(), status: said(Some(status)), tail }
    }

    fn not_ready(&self, limit: Duration, awaited: String) -> EngineError {
        let tail = self.process.log_tail(TAIL);
        EngineError::NotReady { who: self.spec.who(), limit_s: limit.as_secs_f64(), awaited, tail }
    }
}

/// The log files of the engine at `port`: standard output, standard error.
pub fn logs(log_dir: &Path, port: u16) -> [PathBuf; 2] {
    ["stdout", "stderr"].map(|stream| log_dir.join(format!("{port}-{stream}.log")))
}

fn missing(error: &ProbeError) -> String {
    match error {
        ProbeError::Unreachable { .. } => "it does not answer yet".into(),
        answered => answered.to_string(),
    }
}

pub(super) fn said(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "exit status unknown".into(), |status| status.to_string())
}
