//! The metrics of the engine, and the page `/metrics` with vLLM's names and a few more.

mod counters;
mod exposition;
mod histogram;

pub(crate) use counters::Metrics;
pub(crate) use exposition::EngineInfo;
