//! Engines and their helpers: specs, start, readiness, close, and the GPU memory they release.

pub(crate) mod backend;
pub(crate) mod error;
pub(crate) mod fleet;
pub(crate) mod gpu_release;
pub(crate) mod helper;
pub(crate) mod server;
pub(crate) mod service;
pub(crate) mod spec;
pub(crate) mod started;
