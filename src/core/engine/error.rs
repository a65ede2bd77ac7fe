//! Why an engine, or a helper of it, does not serve, in words for people.

use crate::driver::container::ContainerError;
use crate::driver::process_tree::StartError;
use std::path::PathBuf;
use thiserror::Error;

/// Why an engine does not serve.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Somebody else has its port.
    #[error("cannot start {who}: port {port} is in use by {occupant}")]
    PortInUse {
        /// The engine or helper.
        who: String,
        /// The port.
        port: u16,
        /// The process that answers there.
        occupant: String,
        /// Advice on how to use another port.
        elsewhere: &'static str,
    },
    /// Another process answers on its port.
    #[error("port {port} belongs to {other}, not to {who}")]
    PortOfOther {
        /// The engine or helper.
        who: String,
        /// The port.
        port: u16,
        /// The process that answers there.
        other: String,
        /// The advice for moving it to another port.
        elsewhere: &'static str,
    },
    /// The process did not start.
    #[error("cannot start {who}: {source}")]
    Start {
        /// The engine or helper.
        who: String,
        /// Why.
        source: StartError,
    },
    /// There is no container, or it does not go away.
    #[error("{who} has trouble with its container: {source}")]
    Container {
        /// The engine.
        who: String,
        /// Why.
        source: ContainerError,
    },
    /// The process ended before it was ready.
    #[error("{who} ended while it was starting ({status}){}", log.end())]
    DiedAtStart {
        /// The engine or helper.
        who: String,
        /// The exit status.
        status: String,
        /// The end of its log.
        log: LogEnd,
    },
    /// It runs, but it does not serve what was asked for.
    #[error("{who} was not ready within {limit_s} s: {awaited}{}", log.end())]
    NotReady {
        /// The engine or helper.
        who: String,
        /// The limit, seconds.
        limit_s: f64,
        /// The condition that was not met.
        awaited: String,
        /// The end of its log.
        log: LogEnd,
    },
    /// It answers, but it is not what was asked for.
    #[error("{who} cannot be used: {problem}")]
    Unfit {
        /// The engine.
        who: String,
        /// The problem with its answer.
        problem: String,
    },
    /// The process ended while it served.
    #[error("{who} ended while it served ({status}){}", log.end())]
    Died {
        /// The engine or helper.
        who: String,
        /// The exit status.
        status: String,
        /// The end of its log.
        log: LogEnd,
    },
    /// Something of it is still there.
    #[error("{who} could not be ended: processes {pids:?} live on")]
    Survivors {
        /// The engine or helper.
        who: String,
        /// Their process ids.
        pids: Vec<i32>,
    },
}

/// The end of what an engine printed, and where all of it lies.
#[derive(Clone, Debug, Default)]
pub struct LogEnd {
    /// Its last lines.
    pub tail: String,
    /// Its files; none where it is not lmrun's process.
    pub files: Vec<PathBuf>,
}

impl LogEnd {
    fn end(&self) -> String {
        if self.tail.is_empty() {
            "; it printed nothing".into()
        } else {
            format!("\n{}", self.tail)
        }
    }

    fn files(&self) -> String {
        let files: Vec<String> = self
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        files.join(" and ")
    }
}

impl EngineError {
    /// Returns advice on how to resolve it.
    pub fn remedy(&self) -> String {
        match self {
            Self::PortInUse { elsewhere, .. } | Self::PortOfOther { elsewhere, .. } => {
                format!("stop it, or {elsewhere}")
            }
            Self::Start { source, .. } => source.remedy().into(),
            Self::Container { source, .. } => source.remedy().into(),
            Self::DiedAtStart { log, .. } | Self::Died { log, .. } if log.tail.is_empty() => {
                "its command, started by hand, may say more".into()
            }
            Self::DiedAtStart { log, .. } | Self::Died { log, .. } => {
                format!("its log says why: all of it is in {}", log.files())
            }
            Self::NotReady { log, .. } if log.tail.is_empty() => {
                "`ready_timeout_s` gives it more time".into()
            }
            Self::NotReady { log, .. } => {
                format!(
                    "`ready_timeout_s` gives it more time; its log may say why: {}",
                    log.files()
                )
            }
            Self::Unfit { .. } => {
                "`url` stands before `/v1`, `model` is a name of its `/v1/models`, \
                                   `api_key_env` a variable with its key"
                    .into()
            }
            Self::Survivors { pids, .. } => {
                let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
                format!("end them by hand: `kill -9 {}`", pids.join(" "))
            }
        }
    }

    /// Returns the message without the end of a log.
    pub fn headline(&self) -> String {
        self.to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    }
}
