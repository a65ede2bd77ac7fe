//! The errors of a simulated engine.

use super::lmcache::LmcacheError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The reason why a simulated engine does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimError {
    #[error("`{name}` is {found}, expected {expected}")]
    Parameter {
        name: &'static str,
        found: String,
        expected: String,
    },
    /// The KV pool does not hold one request of full length.
    #[error(
        "to serve at least one request with the model's max seq len ({max_model_len}), \
         {needed_gib:.2} GiB KV cache is needed, which is larger than the available KV cache \
         memory ({available_gib:.2} GiB); raise `gpu_memory_utilization` or lower `max_model_len`"
    )]
    PoolTooSmall {
        max_model_len: u32,
        needed_gib: f64,
        available_gib: f64,
    },
    #[error("`lmcache` and `lmcache_mp_l1_gb` exclude each other: use only one of them")]
    TwoConnectors,
    #[error(transparent)]
    Lmcache(#[from] LmcacheError),
    #[error(
        "`chunk_size` of the LMCache configuration is {chunk_tokens}, \
         expected a multiple of `block_size` ({block_tokens})"
    )]
    ChunkSize {
        chunk_tokens: u32,
        block_tokens: u32,
    },
    #[error("cannot resolve `{host}`: {source}; give `--host` an address of this machine")]
    Host { host: String, source: io::Error },
    #[error("cannot listen on {address}: {source}; choose others with `--host` and `--port`")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    /// The timestamps of the answers were not written.
    #[error("cannot write {}: {source}", path.display())]
    Stamps { path: PathBuf, source: io::Error },
    #[error("cannot start a `--fault`: {0}")]
    Fault(#[source] io::Error),
    #[error("cannot start the pacing thread: {0}")]
    Thread(#[source] io::Error),
}

impl SimError {
    pub(crate) fn parameter(name: &'static str, found: f64, expected: &str) -> Self {
        Self::Parameter {
            name,
            found: found.to_string(),
            expected: expected.to_owned(),
        }
    }
}
