//! The built-in engine: a model of a cached LLM server, with its HTTP face.

mod build;
mod cache;
mod config;
mod error;
mod fault;
mod http;
mod lmcache;
mod log;
mod metrics;
mod pacer;
mod scheduler;
mod sse;
mod timing;
pub mod tokens;
mod truth;
mod words;

pub use config::{LogLines, SimConfig};
pub use error::SimError;
pub use fault::{Fault, Faults, help as fault_help};
pub use http::{Simulator, serve};
pub use lmcache::{LmcacheConfig, LmcacheError, LmcacheSource, Serde};
pub use timing::{TierSpeed, TierSpeeds, Timing};
