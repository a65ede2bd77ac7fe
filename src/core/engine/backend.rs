//! The backends of a service: a process tree, a container, or an address that lmrun did not start.

use crate::core::engine::service::{LaunchSpec, Placement, ServiceContext};
use crate::core::{EngineError, Event};
use crate::driver::container::{Container, ContainerLine, ContainerSpec, Gpus, HOST_NETWORK};
use crate::driver::logs::Logs;
use crate::driver::port::{self, Answering};
use crate::driver::process_tree::ProcessTree;
use std::time::Instant;
use tokio::sync::watch;

/// The backend of a service. Dropping it kills what lmrun has started.
pub(crate) enum Backend {
    /// Processes that lmrun has started.
    Processes(ProcessTree),
    /// A container that lmrun has started.
    Container(Box<Container>),
    /// A server that lmrun neither starts, watches nor stops.
    External,
}

/// The exit status of a backend. That of an external server is unknown: its requests fail.
#[derive(Clone)]
pub(crate) struct BackendExit(Option<watch::Receiver<Option<String>>>);

impl BackendExit {
    /// Returns true if the backend has exited.
    pub(crate) fn has_exited(&self) -> bool {
        self.0.as_ref().is_some_and(|exit| exit.borrow().is_some())
    }

    /// Waits for the exit and returns its status.
    pub(crate) async fn wait(&mut self) -> String {
        let Some(exit) = &mut self.0 else {
            return std::future::pending().await;
        };
        match exit.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(status)) => status.clone(),
            _ => "exit status unknown".into(),
        }
    }
}

impl Backend {
    /// Starts the processes or the container.
    ///
    /// # Errors
    /// Fails if the port is in use, or the program or the image is missing.
    pub(crate) async fn start(
        launch: &LaunchSpec,
        context: &ServiceContext,
    ) -> Result<Self, EngineError> {
        if let Placement::External(address) = &launch.placement {
            context.send(Event::EngineFound {
                name: launch.name.clone(),
                url: address.base(),
            });
            return Ok(Self::External);
        }
        if let Some(occupant) = port::occupant(&launch.host, launch.port).await {
            return Err(EngineError::PortInUse {
                who: launch.label.clone(),
                port: launch.port,
                occupant,
                elsewhere: launch.port_advice,
            });
        }
        match &launch.placement {
            Placement::Container(spec, gpus) => {
                Self::start_container((spec, gpus), launch, context).await
            }
            _ => Self::start_processes(launch, context).await,
        }
    }

    async fn start_processes(
        launch: &LaunchSpec,
        context: &ServiceContext,
    ) -> Result<Self, EngineError> {
        let withheld = launch.command.withheld();
        context.warn_of_withheld_variables(&launch.label, withheld);
        match ProcessTree::start(&launch.command, &context.watchdogs).await {
            Ok(processes) => {
                context.send(starting(launch, None));
                Ok(Self::Processes(processes))
            }
            Err(source) => Err(EngineError::Start {
                who: launch.label.clone(),
                source,
            }),
        }
    }

    async fn start_container(
        (spec, gpus): (&ContainerSpec, &Gpus),
        launch: &LaunchSpec,
        context: &ServiceContext,
    ) -> Result<Self, EngineError> {
        let command = launch.command.clone();
        let line = ContainerLine {
            spec,
            argv: command.argv,
            env: command.env,
            host: &launch.host,
            port: launch.port,
            gpus: gpus.clone(),
            stdout: command.stdout,
            stderr: command.stderr,
        };
        // Without a watchdog the next run removes the container.
        let _ = context.watchdogs.watch_containers();
        let start = Instant::now();
        let started = Container::start(&line, |awaited| {
            context.send(Event::EngineWaiting {
                name: launch.name.clone(),
                port: launch.port,
                elapsed_s: start.elapsed().as_secs_f64(),
                awaited,
                last_line: None,
            });
        });
        match started.await {
            Ok(container) => {
                let text = format!("{}, image {}", container.id(), spec.image);
                context.send(starting(launch, Some(text)));
                Ok(Self::Container(Box::new(container)))
            }
            Err(source) => Err(EngineError::Container {
                who: launch.label.clone(),
                source,
            }),
        }
    }

    /// Finds the process that answers on the port. A port that Docker publishes belongs to the
    /// running container: Docker does not start a container whose port is in use.
    pub(crate) async fn answering(&self, launch: &LaunchSpec) -> Answering {
        if let Placement::Container(spec, _) = &launch.placement
            && spec.network != HOST_NETWORK
        {
            return Answering::Member;
        }
        let members = match self {
            Self::External => return Answering::Member,
            Self::Processes(processes) => Some(processes.members()),
            Self::Container(container) => container.members().await,
        };
        let Some(members) = members else {
            return Answering::Unknown;
        };
        let (host, port) = (launch.host.clone(), launch.port);
        tokio::task::spawn_blocking(move || port::answering(&host, port, &members))
            .await
            .unwrap_or(Answering::Unknown)
    }

    /// Returns the exit status, which does not borrow the backend.
    pub(crate) fn exit(&self) -> BackendExit {
        BackendExit(match self {
            Self::Processes(processes) => Some(processes.exit()),
            Self::Container(container) => Some(container.exit()),
            Self::External => None,
        })
    }

    /// Stops all processes that lmrun has started.
    ///
    /// # Errors
    /// Fails if a process survives SIGKILL.
    pub(crate) async fn stop(&self, launch: &LaunchSpec) -> Result<(), EngineError> {
        let who = launch.label.clone();
        match self {
            Self::Processes(processes) => {
                let pids = processes.close(launch.graces).await;
                if pids.is_empty() {
                    Ok(())
                } else {
                    Err(EngineError::Survivors { who, pids })
                }
            }
            Self::Container(container) => container
                .close(launch.graces)
                .await
                .map_err(|source| EngineError::Container { who, source }),
            Self::External => Ok(()),
        }
    }

    /// Returns the PIDs of the living processes; empty for a container or an external server.
    pub(crate) fn members(&self) -> Vec<i32> {
        match self {
            Self::Processes(processes) => processes.members(),
            Self::Container(_) | Self::External => Vec::new(),
        }
    }

    /// Returns the logs; `None` for an external server.
    pub(crate) fn logs(&self) -> Option<&Logs> {
        match self {
            Self::Processes(processes) => Some(processes.logs()),
            Self::Container(container) => Some(container.logs()),
            Self::External => None,
        }
    }
}

fn starting(launch: &LaunchSpec, container: Option<String>) -> Event {
    Event::EngineStarting {
        name: launch.name.clone(),
        port: launch.port,
        argv: launch.command.argv.clone(),
        container,
        log: launch.command.stdout.clone(),
    }
}
