//! `LMCache`'s YAML.

mod config;
mod entries;

pub use config::{LmcacheConfig, LmcacheError, LmcacheSource, Serde};
