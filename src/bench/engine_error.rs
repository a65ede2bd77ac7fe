//! Why an engine, or a helper of it, does not serve, in words for people.

use crate::driver::container::ContainerError;
use crate::driver::process::StartError;
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
        /// Who answers there.
        occupant: String,
        /// How to have it elsewhere.
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
    #[error("{who} ended while it was starting ({status})\n{tail}")]
    DiedAtStart {
        /// The engine or helper.
        who: String,
        /// How it ended.
        status: String,
        /// The end of its log.
        tail: String,
    },
    /// It runs, but it does not serve what was asked for.
    #[error("{who} was not ready within {limit_s} s: {awaited}\n{tail}")]
    NotReady {
        /// The engine or helper.
        who: String,
        /// The limit, seconds.
        limit_s: f64,
        /// What was still missing.
        awaited: String,
        /// The end of its log.
        tail: String,
    },
    /// It answers, but it is not what was asked for.
    #[error("{who} cannot be used: {problem}")]
    Unfit {
        /// The engine.
        who: String,
        /// What is wrong with its answer.
        problem: String,
    },
    /// The process ended while it served.
    #[error("{who} ended while it served ({status})\n{tail}")]
    Died {
        /// The engine or helper.
        who: String,
        /// How it ended.
        status: String,
        /// The end of its log.
        tail: String,
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

impl EngineError {
    /// What happened, without the end of a log.
    pub fn headline(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }
}
