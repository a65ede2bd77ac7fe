//! The simulated engine: a model of an LLM server with caches, served over HTTP.

mod build;
mod cache;
mod config;
mod error;
mod fault;
mod ground_truth;
mod http;
mod lmcache;
mod log;
mod metrics;
mod pacer;
mod scheduler;
mod sse;
mod text;
mod timing;
mod tokens;

pub(crate) use config::SimConfig;
pub(crate) use fault::{Fault, Faults, help as fault_help};
pub(crate) use http::serve;
