//! What answers behind an engine or a helper: a process, a container, or what somebody else started.

use crate::core::engine::service::{Launch, Place, Site};
use crate::core::{EngineError, Event};
use crate::driver::container::{Container, ContainerLine, ContainerSpec, Gpus, HOST_NETWORK};
use crate::driver::logs::Logs;
use crate::driver::port::{self, Answering};
use crate::driver::process_tree::{CommandLine, ProcessTree};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::sync::watch;

/// What answers. Dropping it ends what was started for it.
pub enum Running {
    /// A process of this program's.
    Process(ProcessTree),
    /// A container of this program's.
    Container(Box<Container>),
    /// What was there before, and stays: it is neither watched nor ended.
    Elsewhere,
}

/// The end of what runs; `None` if it runs elsewhere: its end is then known only by failed requests.
#[derive(Clone)]
pub struct End(Option<watch::Receiver<Option<String>>>);

impl End {
    /// How it ended, if it did.
    pub fn said(&self) -> Option<String> {
        self.0.as_ref()?.borrow().clone()
    }

    /// Waits for it.
    pub async fn wait(&mut self) -> String {
        let Some(end) = &mut self.0 else {
            return std::future::pending().await;
        };
        let ended = end.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|end| end.clone())
            .unwrap_or_else(|| "exit status unknown".into())
    }
}

impl Running {
    /// Starts what is to be started, if anything is.
    ///
    /// # Errors
    /// When its port is taken, or its program or its image is not to be had.
    pub async fn start(launch: &Launch, site: &Site) -> Result<Self, EngineError> {
        let Launch {
            name,
            who,
            host,
            port,
            elsewhere,
            ..
        } = launch;
        if let Place::Elsewhere(address) = &launch.place {
            site.tell(Event::EngineFound {
                name: name.clone(),
                url: address.base(),
            });
            return Ok(Self::Elsewhere);
        }
        if let Some(occupant) = port::occupant(host, *port).await {
            return Err(EngineError::PortInUse {
                who: who.clone(),
                port: *port,
                occupant,
                elsewhere,
            });
        }
        match &launch.place {
            Place::Container(spec, gpus) => Self::container(launch, spec, gpus, site).await,
            _ => Self::process(launch, site).await,
        }
    }

    async fn process(launch: &Launch, site: &Site) -> Result<Self, EngineError> {
        let Launch {
            name,
            who,
            port,
            argv,
            env,
            unset,
            ..
        } = launch.clone();
        let [stdout, stderr] = logs(&site.log_dir, port);
        let line = CommandLine {
            argv,
            env,
            unset,
            stdout: stdout.clone(),
            stderr,
        };
        site.warn_of_withheld(&who, line.withheld());
        let started = ProcessTree::start(&line, &site.watchdogs).await;
        let process = started.map_err(|source| EngineError::Start { who, source })?;
        site.tell(Event::EngineStarting {
            name,
            port,
            argv: line.argv,
            container: None,
            log: stdout,
        });
        Ok(Self::Process(process))
    }

    async fn container(
        launch: &Launch,
        spec: &ContainerSpec,
        gpus: &Gpus,
        site: &Site,
    ) -> Result<Self, EngineError> {
        let Launch {
            name,
            who,
            host,
            port,
            argv,
            env,
            ..
        } = launch.clone();
        let [stdout, stderr] = logs(&site.log_dir, port);
        let log = stdout.clone();
        let line = ContainerLine {
            spec,
            argv,
            env,
            host: &host,
            port,
            gpus: gpus.clone(),
            stdout,
            stderr,
        };
        // Without a watchdog the next run removes what this one leaves.
        let _ = site.watchdogs.watch_containers();
        let began = Instant::now();
        let told = |awaited| {
            let (name, elapsed_s) = (name.clone(), began.elapsed().as_secs_f64());
            site.tell(Event::EngineWaiting {
                name,
                port,
                elapsed_s,
                awaited,
                last_line: None,
            });
        };
        let started = Container::start(&line, told).await;
        let started = started.map_err(|source| EngineError::Container { who, source })?;
        let container = Some(format!("{}, image {}", started.id(), spec.image));
        site.tell(Event::EngineStarting {
            name,
            port,
            argv: line.argv,
            container,
            log,
        });
        Ok(Self::Container(Box::new(started)))
    }

    /// Finds out which process answers on its port. A port that Docker publishes is the container's as long as it
    /// runs: Docker refuses to start a container whose port is taken.
    pub async fn answering(&self, launch: &Launch) -> Answering {
        let members = match (self, &launch.place) {
            (Self::Elsewhere, _) => return Answering::Member,
            (_, Place::Container(spec, _)) if spec.network != HOST_NETWORK => {
                return Answering::Member;
            }
            (Self::Process(process), _) => Some(process.members()),
            (Self::Container(container), _) => container.members().await,
        };
        let Some(members) = members else {
            return Answering::Unknown;
        };
        let (host, port) = (launch.host.clone(), launch.port);
        let look = tokio::task::spawn_blocking(move || port::answering(&host, port, &members));
        look.await.unwrap_or(Answering::Unknown)
    }

    /// Its end, to be waited for apart from it.
    pub fn end(&self) -> End {
        End(match self {
            Self::Process(process) => Some(process.exit()),
            Self::Container(container) => Some(container.exit()),
            Self::Elsewhere => None,
        })
    }

    /// Ends it and all that came from it.
    ///
    /// # Errors
    /// When something of it survives even SIGKILL.
    pub async fn close(&self, launch: &Launch) -> Result<(), EngineError> {
        let who = launch.who.clone();
        match self {
            Self::Process(process) => match process.close(launch.graces).await {
                none if none.is_empty() => Ok(()),
                pids => Err(EngineError::Survivors { who, pids }),
            },
            Self::Container(container) => {
                let closed = container.close(launch.graces).await;
                closed.map_err(|source| EngineError::Container { who, source })
            }
            Self::Elsewhere => Ok(()),
        }
    }

    /// Those alive of it and of all that came from it, where they are processes of this machine's.
    pub fn members(&self) -> Vec<i32> {
        match self {
            Self::Process(process) => process.members(),
            Self::Container(_) | Self::Elsewhere => Vec::new(),
        }
    }

    /// What it writes; what answers elsewhere has its logs there.
    pub fn logs(&self) -> Option<&Logs> {
        match self {
            Self::Process(process) => Some(process.logs()),
            Self::Container(container) => Some(container.logs()),
            Self::Elsewhere => None,
        }
    }
}

/// The log files of what listens on `port`: standard output, standard error.
fn logs(log_dir: &Path, port: u16) -> [PathBuf; 2] {
    ["stdout", "stderr"].map(|stream| log_dir.join(format!("{port}-{stream}.log")))
}
