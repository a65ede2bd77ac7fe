//! The YAML configuration of `LMCache`.

mod config;
mod entries;

pub(crate) use config::{LmcacheConfig, LmcacheError, RemoteSerde};
