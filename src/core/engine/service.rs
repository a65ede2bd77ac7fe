//! A service that a run uses, an engine or a helper: start, readiness, exit and stop.

use crate::core::engine::backend::{Backend, BackendExit};
use crate::core::engine::error::LogEnd;
use crate::core::{EngineError, Event};
use crate::driver::address::Address;
use crate::driver::container::{ContainerSpec, Gpus};
use crate::driver::logs::{LogFile, Logs};
use crate::driver::port::Answering;
use crate::driver::process_tree::{CommandLine, Graces};
use crate::driver::resident_mib;
use crate::driver::watchdog::Watchdogs;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The interval between readiness probes.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// The timeout of one probe.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The interval between reports of a wait.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// The number of log lines in an error.
const TAIL_LINES: usize = 15;

/// A service to start.
pub(crate) struct LaunchSpec {
    /// The name in tables.
    pub(crate) name: String,
    /// The name in messages, such as "engine `a`".
    pub(crate) label: String,
    /// The address that it listens on.
    pub(crate) host: String,
    /// The port that it listens on.
    pub(crate) port: u16,
    /// The advice for moving it to another port.
    pub(crate) port_advice: &'static str,
    /// The command, empty for an external server.
    pub(crate) command: CommandLine,
    /// The grace periods of its stop.
    pub(crate) graces: Graces,
    /// The place where it runs.
    pub(crate) placement: Placement,
}

/// The place where a service runs.
pub(crate) enum Placement {
    /// This machine.
    Local,
    /// A container with these GPUs.
    Container(Box<ContainerSpec>, Gpus),
    /// An address where it already answers.
    External(Address),
}

/// The parts of a run that all of its services share.
pub struct ServiceContext {
    log_dir: PathBuf,
    /// The watchdogs that kill the services if lmrun is killed.
    pub(crate) watchdogs: Watchdogs,
    /// The receiver of the events.
    pub(crate) events: Sender<Event>,
    /// The withheld environment variables that were named in a warning.
    withheld: Mutex<BTreeSet<String>>,
}

impl ServiceContext {
    /// A context without services.
    pub fn new(log_dir: PathBuf, watchdogs: Watchdogs, events: Sender<Event>) -> Self {
        Self {
            log_dir,
            watchdogs,
            events,
            withheld: Mutex::default(),
        }
    }

    /// Returns the log files for standard output and standard error of the service on `port`.
    pub(crate) fn log_files(&self, port: u16) -> [PathBuf; 2] {
        ["stdout", "stderr"].map(|stream| self.log_dir.join(format!("{port}-{stream}.log")))
    }

    /// Warns of variables that a service does not get from the environment, once per variable.
    pub(crate) fn warn_of_withheld_variables(&self, label: &str, names: Vec<String>) {
        let mut known = self.withheld.lock();
        let new: Vec<String> = names
            .into_iter()
            .filter(|name| known.insert(name.clone()))
            .collect();
        if new.is_empty() {
            return;
        }
        let names = new.join(", ");
        let text = format!(
            "{label} does not get {names} from the environment: set what it needs in `env`"
        );
        self.send(Event::Warned { text });
    }

    /// Sends an event. Without a receiver it is discarded.
    pub(crate) fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// A check of whether a service is ready.
pub(crate) trait ReadinessProbe {
    /// Asks the service once.
    fn probe(&self) -> impl Future<Output = Result<(), NotReady>> + Send;
}

/// The reason why a service is not ready.
pub(crate) enum NotReady {
    /// It does not answer, or reports an error of its own: it may need more time.
    Pending(String),
    /// It gives a wrong answer. A service that is starting may give a right one later.
    WrongAnswer(String),
    /// This other process answers on its port.
    PortOfOther(String),
}

impl NotReady {
    /// Returns the reason as text.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Pending(text) | Self::WrongAnswer(text) => text,
            Self::PortOfOther(other) => format!("{other} answers on its port"),
        }
    }
}

/// A started service. Dropping it kills it.
pub(crate) struct Service {
    launch: LaunchSpec,
    backend: Backend,
    started: Instant,
    events: Sender<Event>,
    state: Arc<ServiceState>,
}

#[derive(Default)]
struct ServiceState {
    /// The time from the start until it was ready, seconds.
    ready_after_s: OnceLock<f64>,
    stopped: AtomicBool,
    /// True if its exit was reported to a caller.
    exit_reported: AtomicBool,
    /// True if a warning has said that the owner of its port cannot be seen.
    warned_of_port: AtomicBool,
}

impl Service {
    /// Starts a service without waiting until it is ready.
    ///
    /// # Errors
    /// Fails if the port is in use, or the program or the image is missing.
    pub(crate) async fn start(
        launch: LaunchSpec,
        context: &ServiceContext,
    ) -> Result<Self, EngineError> {
        let backend = Backend::start(&launch, context).await?;
        Ok(Self {
            launch,
            backend,
            started: Instant::now(),
            events: context.events.clone(),
            state: Arc::default(),
        })
    }

    /// Waits until it is ready. Returns the time since its start, seconds.
    ///
    /// # Errors
    /// Fails if it exits, gives a wrong answer or is not ready within `timeout`.
    pub(crate) async fn wait_until_ready(
        &self,
        timeout: Duration,
        probe: &impl ReadinessProbe,
    ) -> Result<f64, EngineError> {
        let deadline = Instant::now() + timeout;
        let mut reported = Instant::now();
        let mut exit = self.backend.exit();
        loop {
            if exit.has_exited() {
                return Err(self.exit_error().await);
            }
            let awaited = match self.probe(probe).await {
                Ok(after_s) => return Ok(after_s),
                // An external server is not starting: it would give the same answer later.
                Err(NotReady::WrongAnswer(problem)) if self.is_external() => {
                    return Err(self.unfit(problem));
                }
                Err(NotReady::PortOfOther(other)) => return Err(self.port_of_other(other)),
                Err(NotReady::Pending(awaited) | NotReady::WrongAnswer(awaited)) => awaited,
            };
            if Instant::now() >= deadline {
                return Err(self.not_ready(timeout, awaited));
            }
            if reported.elapsed() >= REPORT_INTERVAL && !self.was_ready() {
                reported = Instant::now();
                self.report_wait(awaited);
            }
            tokio::select! {
                () = tokio::time::sleep(PROBE_INTERVAL) => {}
                _ = exit.wait() => {}
            }
        }
    }

    /// Probes once. Returns the time from its start until it was first ready, seconds.
    ///
    /// # Errors
    /// Fails if it is not ready.
    pub(crate) async fn probe(&self, probe: &impl ReadinessProbe) -> Result<f64, NotReady> {
        let answer = probe.probe().await;
        if !matches!(answer, Err(NotReady::Pending(_)))
            && let Some(other) = self.other_at_port().await
        {
            return Err(NotReady::PortOfOther(other));
        }
        answer?;
        let after_s = self.started.elapsed().as_secs_f64();
        if self.state.ready_after_s.set(after_s).is_ok() {
            self.send(Event::EngineReady {
                name: self.launch.name.clone(),
                port: self.launch.port,
                after_s,
            });
        }
        Ok(*self.state.ready_after_s.get().unwrap_or(&after_s))
    }

    /// Checks that its own processes answer on its port, as far as that can be seen.
    ///
    /// # Errors
    /// Fails if another process answers there.
    pub(crate) async fn check_port(&self) -> Result<(), EngineError> {
        match self.other_at_port().await {
            Some(other) => Err(self.port_of_other(other)),
            None => Ok(()),
        }
    }

    /// Returns the other process that answers on its port, if there is one.
    async fn other_at_port(&self) -> Option<String> {
        let mut answering = self.backend.answering(&self.launch).await;
        if let Answering::Other(_) = answering {
            // A process may have started after the members were listed.
            tokio::time::sleep(PROBE_INTERVAL).await;
            answering = self.backend.answering(&self.launch).await;
        }
        match answering {
            Answering::Other(other) if self.occupies_port() => Some(other),
            Answering::Unknown if self.occupies_port() => {
                self.warn_of_unknown_process();
                None
            }
            _ => None,
        }
    }

    fn warn_of_unknown_process(&self) {
        if !self.state.warned_of_port.swap(true, Relaxed) {
            self.warn(format!(
                "cannot see which process answers on port {}: not checked that it is {}",
                self.launch.port, self.launch.label
            ));
        }
    }

    /// Returns true if lmrun did not start it.
    pub(crate) fn is_external(&self) -> bool {
        matches!(self.backend, Backend::External)
    }

    /// Returns true if it is running, as far as that can be seen without a request. Marks an exit as
    /// reported.
    pub(crate) fn is_running(&self) -> bool {
        if self.is_external() {
            return !self.is_stopped();
        }
        let has_exited = self.backend.exit().has_exited();
        if has_exited {
            self.state.exit_reported.store(true, Relaxed);
        }
        !has_exited
    }

    /// Returns true if lmrun started it and it was not ready yet.
    pub(crate) fn is_starting(&self) -> bool {
        !self.was_ready() && self.occupies_port()
    }

    fn was_ready(&self) -> bool {
        self.state.ready_after_s.get().is_some()
    }

    /// Returns true if lmrun started it and it is running. Does not mark an exit as reported.
    pub(crate) fn occupies_port(&self) -> bool {
        !self.is_stopped() && !self.is_external() && !self.backend.exit().has_exited()
    }

    /// Waits until it exits without being stopped, and returns the error. The wait does not borrow
    /// the service.
    pub(crate) fn exit_error(&self) -> impl Future<Output = EngineError> + Send + use<> {
        let exit = self.backend.exit();
        let logs = self.backend.logs().cloned();
        exit_error(self.launch.label.clone(), (exit, logs), self.state.clone())
    }

    /// Returns the resident memory of its processes, MiB; `None` if they cannot be seen.
    pub(crate) fn resident_mib(&self) -> Option<u64> {
        let members = self.members();
        (!members.is_empty()).then(|| resident_mib(&members))
    }

    /// Returns the files of its standard output and standard error; empty if it is external.
    pub(crate) fn log_files(&self) -> Vec<LogFile> {
        self.backend
            .logs()
            .map_or_else(Vec::new, |logs| logs.0.to_vec())
    }

    /// Returns the PIDs of its living processes.
    pub(crate) fn members(&self) -> Vec<i32> {
        self.backend.members()
    }

    /// Stops all of its processes. A second call has no effect.
    ///
    /// # Errors
    /// Fails if a process survives SIGKILL, or if the service had exited and no caller was told.
    pub(crate) async fn stop(&self) -> Result<(), EngineError> {
        if self.state.stopped.swap(true, Relaxed) || self.is_external() {
            return Ok(());
        }
        let start = Instant::now();
        let had_exited = self.backend.exit().has_exited();
        let exit_error = if had_exited && !self.state.exit_reported.load(Relaxed) {
            Some(self.exit_error().await)
        } else {
            None
        };
        let stopped = self.backend.stop(&self.launch).await;
        self.warn_of_dropped_logs();
        stopped?;
        self.send(Event::EngineClosed {
            name: self.launch.name.clone(),
            port: self.launch.port,
            took_s: start.elapsed().as_secs_f64(),
        });
        exit_error.map_or(Ok(()), Err)
    }

    /// Returns true if [`Service::stop`] was called.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.stopped.load(Relaxed)
    }

    /// Sends a warning.
    pub(crate) fn warn(&self, text: String) {
        self.send(Event::Warned { text });
    }

    fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn report_wait(&self, awaited: String) {
        self.send(Event::EngineWaiting {
            name: self.launch.name.clone(),
            port: self.launch.port,
            elapsed_s: self.started.elapsed().as_secs_f64(),
            awaited,
            last_line: self.backend.logs().and_then(Logs::last_line),
        });
    }

    fn not_ready(&self, timeout: Duration, awaited: String) -> EngineError {
        let limit_s = timeout.as_secs_f64();
        match self.backend.logs() {
            Some(logs) => EngineError::NotReady {
                who: self.launch.label.clone(),
                limit_s,
                awaited,
                log: log_end(logs),
            },
            None => self.unfit(format!("{awaited}, for {limit_s} s")),
        }
    }

    fn port_of_other(&self, other: String) -> EngineError {
        EngineError::PortOfOther {
            who: self.launch.label.clone(),
            port: self.launch.port,
            other,
            elsewhere: self.launch.port_advice,
        }
    }

    fn unfit(&self, problem: String) -> EngineError {
        EngineError::Unfit {
            who: self.launch.label.clone(),
            problem,
        }
    }

    fn warn_of_dropped_logs(&self) {
        for log in self.log_files() {
            if log.dropped() > 0 {
                self.warn(format!(
                    "{} was flooded: the part between its first 64 MiB and byte {} Mi was dropped",
                    log.path().display(),
                    log.dropped() >> 20
                ));
            }
        }
    }
}

async fn exit_error(
    who: String,
    (mut exit, logs): (BackendExit, Option<Logs>),
    state: Arc<ServiceState>,
) -> EngineError {
    let status = exit.wait().await;
    state.exit_reported.store(true, Relaxed);
    let log = logs.as_ref().map(log_end).unwrap_or_default();
    if state.ready_after_s.get().is_some() {
        EngineError::Died { who, status, log }
    } else {
        EngineError::DiedAtStart { who, status, log }
    }
}

fn log_end(logs: &Logs) -> LogEnd {
    LogEnd {
        tail: logs.tail(TAIL_LINES),
        files: logs.0.iter().map(|log| log.path().to_owned()).collect(),
    }
}
