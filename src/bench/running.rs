//! What answers behind an engine: a process, or what somebody else started.

use super::engine::{logs, said};
use super::{EngineError, EngineSpec, Event};
use crate::driver::port;
use crate::driver::process::{CommandLine, Graces, Process};
use crate::driver::watchdog::Watchdog;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// What answers behind an engine. Dropping it ends what was started for it.
pub enum Running {
    /// A process of this program's.
    Process(Process),
    /// What was there before, and stays: it is neither watched nor ended.
    Elsewhere,
}

/// What starting needs beside the spec.
pub struct Launch<'a> {
    /// The engine's port.
    pub port: u16,
    /// Where its logs go.
    pub log_dir: &'a Path,
    /// Who ends it when this program is killed.
    pub watchdog: &'a Arc<Watchdog>,
    /// Who hears of it.
    pub events: &'a Sender<Event>,
}

impl Running {
    /// Starts what the spec says, if anything is to be started.
    ///
    /// # Errors
    /// When its port is taken or its program is not to be had.
    pub async fn start(spec: &EngineSpec, launch: Launch<'_>) -> Result<Self, EngineError> {
        if let Some(address) = &spec.url {
            let (name, url) = (spec.name.clone(), address.base());
            let _ = launch.events.send(Event::EngineFound { name, url });
            return Ok(Self::Elsewhere);
        }
        let port = launch.port;
        if let Some(occupant) = port::occupant(&spec.host, port).await {
            let elsewhere = "choose other ports with `-p P1 P2`";
            return Err(EngineError::PortInUse { who: spec.who(), port, occupant, elsewhere });
        }
        let [stdout, stderr] = logs(launch.log_dir, port);
        let line = CommandLine {
            argv: spec.argv(port),
            env: spec.environment(port),
            unset: spec.unset_env.clone(),
            stdout: stdout.clone(),
            stderr,
        };
        let process = Process::start(&line, launch.watchdog)
            .map_err(|source| EngineError::Start { who: spec.who(), source })?;
        let (name, argv) = (spec.name.clone(), line.argv);
        let _ = launch.events.send(Event::EngineStarting { name, port, argv, log: stdout });
        Ok(Self::Process(process))
    }

    /// How it ended, if it did.
    pub fn exit(&self) -> Option<String> {
        match self {
            Self::Process(process) => process.exit().map(|status| said(Some(status))),
            Self::Elsewhere => None,
        }
    }

    /// Waits for its end.
    pub async fn exited(&self) -> String {
        match self {
            Self::Process(process) => said(process.exited().await),
            // What ends elsewhere is known by the requests that fail.
            Self::Elsewhere => std::future::pending().await,
        }
    }

    /// Ends it and all that came from it; returns the process ids that live on.
    pub async fn close(&self, graces: Graces) -> Vec<i32> {
        match self {
            Self::Process(process) => process.close(graces).await,
            Self::Elsewhere => Vec::new(),
        }
    }

    /// The end of what it wrote since it was started.
    pub fn log_tail(&self, lines: usize) -> String {
        match self {
            Self::Process(process) => process.log_tail(lines),
            Self::Elsewhere => String::new(),
        }
    }

    /// The last line that it wrote.
    pub fn last_line(&self) -> Option<String> {
        match self {
            Self::Process(process) => process.last_line(),
            Self::Elsewhere => None,
        }
    }
}
