//! What answers behind an engine: a process, a container, or what somebody else started.

use super::engine::{logs, said};
use super::{EngineError, EngineSpec, Event};
use crate::driver::container::{Container, ContainerLine, ContainerSpec};
use crate::driver::port;
use crate::driver::process::{CommandLine, Graces, Process};
use crate::driver::watchdog::Watchdog;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

/// What answers behind an engine. Dropping it ends what was started for it.
pub enum Running {
    /// A process of this program's.
    Process(Process),
    /// A container of this program's.
    Container(Box<Container>),
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

impl Launch<'_> {
    fn tell(&self, event: Event) {
        let _ = self.events.send(event); // without a listener there is nobody to tell
    }
}

impl Running {
    /// Starts what the spec says, if anything is to be started.
    ///
    /// # Errors
    /// When its port is taken, or its program or its image is not to be had.
    pub async fn start(spec: &EngineSpec, launch: Launch<'_>) -> Result<Self, EngineError> {
        if let Some(address) = &spec.url {
            launch.tell(Event::EngineFound { name: spec.name.clone(), url: address.base() });
            return Ok(Self::Elsewhere);
        }
        let port = launch.port;
        if let Some(occupant) = port::occupant(&spec.host, port).await {
            let elsewhere = "choose other ports with `-p P1 P2`";
            return Err(EngineError::PortInUse { who: spec.who(), port, occupant, elsewhere });
        }
        match &spec.container {
            None => Self::process(spec, &launch),
            Some(container) => Self::container(spec, container, &launch).await,
        }
    }

    fn process(spec: &EngineSpec, launch: &Launch<'_>) -> Result<Self, EngineError> {
        let (port, [stdout, stderr]) = (launch.port, logs(launch.log_dir, launch.port));
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
        launch.tell(Event::EngineStarting { name, port, argv, container: None, log: stdout });
        Ok(Self::Process(process))
    }

    async fn container(
        spec: &EngineSpec,
        container: &ContainerSpec,
        launch: &Launch<'_>,
    ) -> Result<Self, EngineError> {
        let (port, [stdout, stderr]) = (launch.port, logs(launch.log_dir, launch.port));
        let line = ContainerLine {
            spec: container,
            argv: spec.argv(port),
            env: spec.environment(port),
            host: &spec.host,
            port,
            gpus: spec.container_gpus(),
            stdout: stdout.clone(),
            stderr,
        };
        // Without a watchdog the next run removes what this one leaves.
        let _ = launch.watchdog.wake();
        let (name, began) = (spec.name.clone(), Instant::now());
        let told = |status| {
            let elapsed_s = began.elapsed().as_secs_f64();
            launch.tell(Event::EngineWaiting { name: name.clone(), elapsed_s, status });
        };
        let started = Container::start(&line, told).await;
        let started = started.map_err(|source| EngineError::Container { who: spec.who(), source })?;
        let place = Some(format!("{}, image {}", started.id(), container.image));
        launch.tell(Event::EngineStarting { name, port, argv: line.argv, container: place, log: stdout });
        Ok(Self::Container(Box::new(started)))
    }

    /// How it ended, if it did.
    pub fn exit(&self) -> Option<String> {
        match self {
            Self::Process(process) => process.exit().map(|status| said(Some(status))),
            Self::Container(container) => container.exit(),
            Self::Elsewhere => None,
        }
    }

    /// Waits for its end.
    pub async fn exited(&self) -> String {
        match self {
            Self::Process(process) => said(process.exited().await),
            Self::Container(container) => container.exited().await,
            // What ends elsewhere is known by the requests that fail.
            Self::Elsewhere => std::future::pending().await,
        }
    }

    /// Ends it and all that came from it.
    ///
    /// # Errors
    /// When something of it survives even SIGKILL.
    pub async fn close(&self, spec: &EngineSpec, graces: Graces) -> Result<(), EngineError> {
        match self {
            Self::Process(process) => match process.close(graces).await {
                none if none.is_empty() => Ok(()),
                pids => Err(EngineError::Survivors { who: spec.who(), pids }),
            },
            Self::Container(container) => {
                let closed = container.close(graces).await;
                closed.map_err(|source| EngineError::Container { who: spec.who(), source })
            }
            Self::Elsewhere => Ok(()),
        }
    }

    /// The end of what it wrote since it was started.
    pub fn log_tail(&self, lines: usize) -> String {
        match self {
            Self::Process(process) => process.log_tail(lines),
            Self::Container(container) => container.log_tail(lines),
            Self::Elsewhere => String::new(),
        }
    }

    /// The last line that it wrote.
    pub fn last_line(&self) -> Option<String> {
        match self {
            Self::Process(process) => process.last_line(),
            Self::Container(container) => container.last_line(),
            Self::Elsewhere => None,
        }
    }
}
