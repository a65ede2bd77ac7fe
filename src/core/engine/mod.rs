//! Engines and their helpers: specifications, start, readiness, close, and GPU memory they release.

pub(crate) mod backend;
pub(crate) mod error;
pub(crate) mod fleet;
pub(crate) mod gpu_release;
pub(crate) mod helper;
pub(crate) mod lifecycle;
pub(crate) mod server;
pub(crate) mod service;
pub(crate) mod spec;
