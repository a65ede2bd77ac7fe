//! What a run owns or uses, an engine or a helper: started, awaited, watched, ended.

use crate::core::engine::backend::{End, Running};
use crate::core::engine::error::LogEnd;
use crate::core::{EngineError, Event};
use crate::driver::address::Address;
use crate::driver::container::{ContainerSpec, Gpus};
use crate::driver::logs::{LogFile, Logs};
use crate::driver::port::Answering;
use crate::driver::process_tree::Graces;
use crate::driver::resident_mib;
use crate::driver::watchdog::Watchdogs;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How often a starting process is asked whether it is ready.
pub const POLL: Duration = Duration::from_millis(100);
/// How long one question to it may take.
pub const QUESTION: Duration = Duration::from_secs(2);
/// How often a wait is reported.
const REPORT: Duration = Duration::from_secs(1);
/// Lines of its log that an error shows.
const TAIL: usize = 15;

/// What is to be started, and where.
#[derive(Clone, Debug)]
pub struct Launch {
    /// How tables call it.
    pub name: String,
    /// How messages call it.
    pub who: String,
    /// Where it listens.
    pub host: String,
    /// On which port, which also names its logs.
    pub port: u16,
    /// How to have it on another port.
    pub elsewhere: &'static str,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Added to the environment.
    pub env: BTreeMap<String, String>,
    /// Taken out of the environment.
    pub unset: Vec<String>,
    /// How long its end may take.
    pub graces: Graces,
    /// Where it runs.
    pub place: Place,
}

/// Where something runs.
#[derive(Clone, Debug)]
pub enum Place {
    /// On this machine.
    Here,
    /// In a container that sees these GPUs.
    Container(Box<ContainerSpec>, Gpus),
    /// At an address, where it is already.
    Elsewhere(Address),
}

/// What all processes of a run share.
pub struct Site {
    /// Where their logs go.
    pub log_dir: PathBuf,
    /// Who ends them when this program is killed.
    pub watchdogs: Watchdogs,
    /// Who hears of them.
    pub events: Sender<Event>,
    /// The variables of the environment that a warning has named as withheld.
    withheld: Mutex<BTreeSet<String>>,
}

impl Site {
    /// A site of which nothing was started.
    pub fn new(log_dir: PathBuf, watchdogs: Watchdogs, events: Sender<Event>) -> Self {
        Self {
            log_dir,
            watchdogs,
            events,
            withheld: Mutex::default(),
        }
    }

    /// Warns of variables that `who` does not get from the environment, once per variable and run.
    pub fn warn_of_withheld(&self, who: &str, names: Vec<String>) {
        let mut known = self.withheld.lock();
        let fresh: Vec<String> = names
            .into_iter()
            .filter(|name| known.insert(name.clone()))
            .collect();
        if fresh.is_empty() {
            return;
        }
        let names = fresh.join(", ");
        let text = format!(
            "{who} does not get {names} from the environment: give it what it needs with `env`"
        );
        self.tell(Event::Warned { text });
    }

    /// Tells whoever hears of it; without a listener there is nobody to tell.
    pub fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// How a process is asked whether it is ready.
pub trait Ask {
    /// Asks once; says what is missing.
    fn ask(&self) -> impl Future<Output = Result<(), Missing>> + Send;
}

/// What something lacks to be ready.
pub enum Missing {
    /// Time, it seems.
    Yet(String),
    /// It answers something else than it should. What starts may answer better in a while.
    Wrong(String),
    /// Its port: this other process answers there.
    Port(String),
}

impl Missing {
    /// What it is, in words.
    pub fn into_text(self) -> String {
        match self {
            Self::Yet(text) | Self::Wrong(text) => text,
            Self::Port(other) => format!("{other} answers on its port"),
        }
    }
}

/// A started process. Dropping it kills it.
pub struct Owned {
    /// What was started.
    pub launch: Launch,
    running: Running,
    started: Instant,
    events: Sender<Event>,
    life: Arc<Life>,
}

/// How far a process is in its life.
#[derive(Default)]
struct Life {
    /// The time at which it was ready, seconds since its start.
    ready_after_s: OnceLock<f64>,
    closed: AtomicBool,
    /// Whether somebody was told that it has ended by itself.
    mourned: AtomicBool,
    /// True if a warning has said that the owner of its port cannot be seen.
    unseen: AtomicBool,
}

impl Owned {
    /// Starts it and returns at once.
    ///
    /// # Errors
    /// When its port is taken or its program is not to be had.
    pub async fn start(launch: Launch, site: &Site) -> Result<Self, EngineError> {
        let running = Running::start(&launch, site).await?;
        let events = site.events.clone();
        Ok(Self {
            launch,
            running,
            started: Instant::now(),
            events,
            life: Arc::default(),
        })
    }

    /// Waits until it is ready, has died, or `limit` is over. Returns the seconds since its start.
    ///
    /// # Errors
    /// When it is not ready.
    pub async fn wait_until_ready(
        &self,
        limit: Duration,
        ask: &impl Ask,
    ) -> Result<f64, EngineError> {
        let deadline = Instant::now() + limit;
        let mut reported = Instant::now();
        let mut end = self.running.end();
        loop {
            if end.said().is_some() {
                return Err(self.death().await);
            }
            let awaited = match self.look(ask).await {
                Ok(after_s) => return Ok(after_s),
                // It is not starting: what it answers, it will answer in a minute.
                Err(Missing::Wrong(problem)) if self.is_elsewhere() => {
                    return Err(self.unfit(problem));
                }
                Err(Missing::Port(other)) => return Err(self.port_of_other(other)),
                Err(Missing::Yet(awaited) | Missing::Wrong(awaited)) => awaited,
            };
            if Instant::now() >= deadline {
                return Err(self.not_ready(limit, awaited));
            }
            if reported.elapsed() >= REPORT && !self.was_ready() {
                reported = Instant::now();
                self.report_wait(awaited);
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                _ = end.wait() => {}
            }
        }
    }

    /// Returns true if it runs here and was not ready yet.
    pub fn is_starting(&self) -> bool {
        !self.was_ready() && self.holds_its_port()
    }

    /// Asks once. The first answer that it is ready is noted, with its moment: seconds since the start.
    ///
    /// # Errors
    /// Fails if it is not ready.
    pub async fn look(&self, ask: &impl Ask) -> Result<f64, Missing> {
        let answer = ask.ask().await;
        if !matches!(answer, Err(Missing::Yet(_))) {
            self.other_at_port()
                .await
                .map_or(Ok(()), |other| Err(Missing::Port(other)))?;
        }
        answer?;
        let after_s = self.started.elapsed().as_secs_f64();
        if self.life.ready_after_s.set(after_s).is_ok() {
            let (name, port) = (self.launch.name.clone(), self.launch.port);
            let _ = self.events.send(Event::EngineReady {
                name,
                port,
                after_s,
            });
        }
        Ok(*self.life.ready_after_s.get().unwrap_or(&after_s))
    }

    /// Checks that what answers on its port is its own process or container, as far as that can be seen.
    ///
    /// # Errors
    /// Fails if another process answers there.
    pub async fn check_port(&self) -> Result<(), EngineError> {
        self.other_at_port()
            .await
            .map_or(Ok(()), |other| Err(self.port_of_other(other)))
    }

    /// The other process that answers on its port, if there is one.
    async fn other_at_port(&self) -> Option<String> {
        let mut answering = self.running.answering(&self.launch).await;
        if let Answering::Other(_) = answering {
            // One that was born after the members were listed is listed by now.
            tokio::time::sleep(POLL).await;
            answering = self.running.answering(&self.launch).await;
        }
        match answering {
            Answering::Other(other) if self.holds_its_port() => Some(other),
            Answering::Unknown if self.holds_its_port() => {
                self.warn_of_unseen_owner();
                None
            }
            _ => None,
        }
    }

    fn warn_of_unseen_owner(&self) {
        let (who, port) = (&self.launch.who, self.launch.port);
        if !self.life.unseen.swap(true, Relaxed) {
            self.warn(format!(
                "which process answers on port {port} cannot be seen: it was not checked to be {who}"
            ));
        }
    }

    /// Whether somebody else started it.
    pub fn is_elsewhere(&self) -> bool {
        matches!(self.running, Running::Elsewhere)
    }

    /// Whether it lives, as far as that can be seen without asking it.
    pub fn lives(&self) -> bool {
        if self.is_elsewhere() {
            return !self.is_closed();
        }
        let lives = self.running.end().said().is_none();
        if !lives {
            self.life.mourned.store(true, Relaxed); // whoever asks is told
        }
        lives
    }

    /// Whether it was ready at some moment.
    pub fn was_ready(&self) -> bool {
        self.life.ready_after_s.get().is_some()
    }

    /// Whether it has neither ended nor been closed. Who asks this tells nobody.
    pub fn holds_its_port(&self) -> bool {
        !self.is_closed() && !self.is_elsewhere() && self.running.end().said().is_none()
    }

    /// Waits for its process to end by itself. The wait holds nothing of it.
    pub fn death(&self) -> impl Future<Output = EngineError> + Send + use<> {
        let watch = (
            self.running.end(),
            self.running.logs().cloned(),
            self.life.clone(),
        );
        death(self.launch.who.clone(), watch.0, watch.1, watch.2)
    }

    /// Resident memory of it and all that came from it, MiB; `None` where they are no processes of this
    /// machine's.
    pub fn resident_mib(&self) -> Option<u64> {
        let members = self.members();
        (!members.is_empty()).then(|| resident_mib(&members))
    }

    /// Its standard output and standard error; empty where it runs elsewhere.
    pub fn log_files(&self) -> Vec<LogFile> {
        self.logs().map_or_else(Vec::new, |logs| logs.0.to_vec())
    }

    /// Those alive of it and of all that came from it.
    pub fn members(&self) -> Vec<i32> {
        self.running.members()
    }

    /// What it writes.
    pub fn logs(&self) -> Option<&Logs> {
        self.running.logs()
    }

    /// Ends it and everything that came from it; the second call does nothing.
    ///
    /// # Errors
    /// When something of it survives even SIGKILL, or it had ended by itself and nobody knows.
    pub async fn close(&self) -> Result<(), EngineError> {
        if self.life.closed.swap(true, Relaxed) {
            return Ok(());
        }
        if self.is_elsewhere() {
            return Ok(());
        }
        let began = Instant::now();
        let died = self.running.end().said().is_some() && !self.life.mourned.load(Relaxed);
        let death = if died { Some(self.death().await) } else { None };
        let ended = self.running.close(&self.launch).await;
        self.report_dropped_logs();
        ended?;
        let (name, port) = (self.launch.name.clone(), self.launch.port);
        let took_s = began.elapsed().as_secs_f64();
        let _ = self.events.send(Event::EngineClosed { name, port, took_s });
        death.map_or(Ok(()), Err)
    }

    /// Whether [`Owned::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.life.closed.load(Relaxed)
    }

    /// Tells the reader of the results something.
    pub fn warn(&self, text: String) {
        let _ = self.events.send(Event::Warned { text });
    }

    fn report_wait(&self, awaited: String) {
        let _ = self.events.send(Event::EngineWaiting {
            name: self.launch.name.clone(),
            port: self.launch.port,
            elapsed_s: self.started.elapsed().as_secs_f64(),
            awaited,
            last_line: self.running.logs().and_then(Logs::last_line),
        });
    }

    fn not_ready(&self, limit: Duration, awaited: String) -> EngineError {
        let limit_s = limit.as_secs_f64();
        let Some(logs) = self.running.logs() else {
            return self.unfit(format!("{awaited}, for {limit_s} s"));
        };
        let (who, log) = (self.launch.who.clone(), log_end(logs));
        EngineError::NotReady {
            who,
            limit_s,
            awaited,
            log,
        }
    }

    fn port_of_other(&self, other: String) -> EngineError {
        let Launch {
            who,
            port,
            elsewhere,
            ..
        } = &self.launch;
        EngineError::PortOfOther {
            who: who.clone(),
            port: *port,
            other,
            elsewhere,
        }
    }

    fn unfit(&self, problem: String) -> EngineError {
        EngineError::Unfit {
            who: self.launch.who.clone(),
            problem,
        }
    }

    fn report_dropped_logs(&self) {
        let logs = self.running.logs().into_iter().flat_map(|logs| &logs.0);
        for log in logs.filter(|log| log.dropped() > 0) {
            let (path, mib) = (log.path().display(), log.dropped() >> 20);
            self.warn(format!(
                "{path} was flooded: what lies between its first 64 MiB and byte {mib} Mi was dropped"
            ));
        }
    }
}

async fn death(who: String, mut end: End, logs: Option<Logs>, life: Arc<Life>) -> EngineError {
    let status = end.wait().await;
    life.mourned.store(true, Relaxed);
    let log = logs.as_ref().map(log_end).unwrap_or_default();
    if life.ready_after_s.get().is_some() {
        EngineError::Died { who, status, log }
    } else {
        EngineError::DiedAtStart { who, status, log }
    }
}

fn log_end(logs: &Logs) -> LogEnd {
    LogEnd {
        tail: logs.tail(TAIL),
        files: logs.0.iter().map(|log| log.path().to_owned()).collect(),
    }
}
