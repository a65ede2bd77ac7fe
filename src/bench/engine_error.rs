//! Why an engine does not serve, in words for people.

use crate::driver::process::StartError;
use thiserror::Error;

/// Why an engine does not serve.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Somebody else has its port.
    #[error("cannot start engine `{name}`: port {port} is in use by {occupant}")]
    PortInUse {
        /// The engine.
        name: String,
        /// The port.
        port: u16,
        /// Who answers there.
        occupant: String,
    },
    /// The process did not start.
    #[error("cannot start engine `{name}`: {source}")]
    Start {
        /// The engine.
        name: String,
        /// Why.
        source: StartError,
    },
    /// The process ended before it was ready.
    #[error("engine `{name}` ended while it was starting ({status})\n{tail}")]
    DiedAtStart {
        /// The engine.
        name: String,
        /// How it ended.
        status: String,
        /// The end of its log.
        tail: String,
    },
    /// It runs, but it does not serve what was asked for.
    #[error("engine `{name}` was not ready within {limit_s} s: {awaited}\n{tail}")]
    NotReady {
        /// The engine.
        name: String,
        /// The limit, seconds.
        limit_s: f64,
        /// What was still missing.
        awaited: String,
        /// The end of its log.
        tail: String,
    },
    /// The process ended while it served.
    #[error("engine `{name}` ended while it served ({status})\n{tail}")]
    Died {
        /// The engine.
        name: String,
        /// How it ended.
        status: String,
        /// The end of its log.
        tail: String,
    },
    /// Something of it is still there.
    #[error("engine `{name}` could not be ended: processes {pids:?} live on")]
    Survivors {
        /// The engine.
        name: String,
        /// Their process ids.
        pids: Vec<i32>,
    },
}
