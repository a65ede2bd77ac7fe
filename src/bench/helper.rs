//! Processes that an engine needs beside it: a cache server, a store.

use super::engine::{TAIL, logs, said};
use super::spec::{grace, loopback, with_port};
use super::{EngineError, Event, Seconds};
use crate::driver::process::{CommandLine, Graces, Process};
use crate::driver::watchdog::Watchdog;
use crate::driver::{port, probe};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(100);
const QUESTION: Duration = Duration::from_secs(2);

/// How to start a helper. It is started before the first engine that names it, shared by all
/// that name the same, and ended after the last of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelperSpec {
    /// What messages call it.
    pub name: String,
    /// Program and arguments; `{port}` becomes the port.
    pub command: Vec<String>,
    /// Added to the environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it listens.
    #[serde(default = "loopback")]
    pub host: String,
    /// Its port, which also names its logs.
    pub port: u16,
    /// Where it says over HTTP that it is ready, as `:port/path` or `/path`.
    #[serde(default)]
    pub ready_path: Option<String>,
    /// What is sent to its port, and how the answer of a ready one begins. Without this and
    /// without `ready_path`, it is ready when its port takes connections.
    #[serde(default)]
    pub ready_answer: Option<(String, String)>,
    /// How long it may take to get ready.
    #[serde(default = "ready_timeout")]
    pub ready_timeout_s: Seconds,
    /// How long it may take to end after each signal before the next.
    #[serde(default = "grace")]
    pub grace_s: Seconds,
}

fn ready_timeout() -> Seconds {
    Seconds(60.0)
}

impl HelperSpec {
    /// How messages name it.
    fn who(&self) -> String {
        format!("helper `{}`", self.name)
    }
}

/// Ends those that nobody else uses, the last one that was started first.
///
/// # Errors
/// The first of which something survives.
pub async fn end(helpers: Vec<Arc<Helper>>) -> Result<(), EngineError> {
    let mut first = Ok(());
    for helper in helpers.into_iter().rev().filter_map(Arc::into_inner) {
        first = first.and(helper.close().await);
    }
    first
}

/// A helper that runs. Dropping it kills it.
pub struct Helper {
    /// What it was started from.
    pub spec: HelperSpec,
    process: Process,
    events: Sender<Event>,
}

impl Helper {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When its port is taken, its program is not to be had, it dies, or takes too long.
    pub async fn start(
        spec: HelperSpec,
        log_dir: &Path,
        watchdog: &Arc<Watchdog>,
        events: &Sender<Event>,
    ) -> Result<Self, EngineError> {
        if let Some(occupant) = port::occupant(&spec.host, spec.port).await {
            let (who, port, elsewhere) = (spec.who(), spec.port, "give it another `port`");
            return Err(EngineError::PortInUse { who, port, occupant, elsewhere });
        }
        let [stdout, stderr] = logs(log_dir, spec.port);
        let placed = |text: &String| with_port(text, spec.port);
        let line = CommandLine {
            argv: spec.command.iter().map(placed).collect(),
            env: spec.env.iter().map(|(name, value)| (name.clone(), placed(value))).collect(),
            unset: Vec::new(),
            stdout: stdout.clone(),
            stderr,
        };
        let process = Process::start(&line, watchdog)
            .map_err(|source| EngineError::Start { who: spec.who(), source })?;
        let (name, port) = (spec.name.clone(), spec.port);
        let _ = events.send(Event::EngineStarting {
            name: name.clone(),
            port,
            argv: line.argv,
            container: None,
            log: stdout,
        });
        let began = Instant::now();
        let helper = Self { spec, process, events: events.clone() };
        if let Err(error) = helper.wait_until_ready().await {
            // What the user is to read is why it did not get ready.
            let _ = helper.close().await;
            return Err(error);
        }
        let _ = events.send(Event::EngineReady { name, port, after_s: began.elapsed().as_secs_f64() });
        Ok(helper)
    }

    /// Ends it.
    ///
    /// # Errors
    /// When something of it survives even SIGKILL.
    pub async fn close(self) -> Result<(), EngineError> {
        let graces = Graces { interrupt_s: self.spec.grace_s.0, terminate_s: self.spec.grace_s.0 };
        let began = Instant::now();
        let pids = self.process.close(graces).await;
        if !pids.is_empty() {
            return Err(EngineError::Survivors { who: self.spec.who(), pids });
        }
        let name = self.spec.name.clone();
        let took_s = began.elapsed().as_secs_f64();
        let _ = self.events.send(Event::EngineClosed { name, port: self.spec.port, took_s });
        Ok(())
    }

    async fn wait_until_ready(&self) -> Result<(), EngineError> {
        let limit_s = self.spec.ready_timeout_s.0;
        let deadline = Instant::now() + Duration::from_secs_f64(limit_s);
        loop {
            if let Some(status) = self.process.exit() {
                let tail = self.process.log_tail(TAIL);
                return Err(EngineError::DiedAtStart {
                    who: self.spec.who(),
                    status: said(Some(status)),
                    tail,
                });
            }
            if self.is_ready().await {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let (awaited, tail) = ("it does not answer yet".into(), self.process.log_tail(TAIL));
                return Err(EngineError::NotReady { who: self.spec.who(), limit_s, awaited, tail });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn is_ready(&self) -> bool {
        let HelperSpec { host, port, ready_path, ready_answer, .. } = &self.spec;
        match (ready_path, ready_answer) {
            (Some(path), _) => {
                let colon = if path.starts_with(':') { String::new() } else { format!(":{port}") };
                probe::get(&format!("http://{host}{colon}{path}"), QUESTION).await.is_ok()
            }
            (None, Some((question, answer))) => {
                let heard = probe::ask(host, *port, question, QUESTION).await;
                heard.is_ok_and(|heard| heard.starts_with(answer))
            }
            (None, None) => tokio::net::TcpStream::connect((host.as_str(), *port)).await.is_ok(),
        }
    }
}
