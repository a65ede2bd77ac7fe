//! What can keep a simulated engine from serving.

use std::{io, net::SocketAddr, path::PathBuf};

use super::lmcache::LmcacheError;

/// Why a simulated engine does not serve.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A parameter is out of its range.
    #[error("`{name}` is {found}, expected {expected}")]
    Parameter {
        /// Name of the parameter.
        name: &'static str,
        /// The value it was given.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// The KV pool does not hold one request of full length.
    #[error(
        "to serve at least one request with the model's max seq len ({max_model_len}), {needed_gib:.2} GiB KV cache \
         is needed, which is larger than the available KV cache memory ({available_gib:.2} GiB); raise \
         `gpu_memory_utilization` or lower `max_model_len`"
    )]
    PoolTooSmall {
        /// Longest prompt and answer together, in tokens.
        max_model_len: u32,
        /// KV of such a request.
        needed_gib: f64,
        /// KV the pool holds.
        available_gib: f64,
    },
    /// Both ways of running `LMCache` were asked for.
    #[error("`lmcache` and `lmcache_mp_l1_gb` are two ways to run LMCache: give one of them")]
    TwoConnectors,
    /// The `LMCache` configuration cannot be used.
    #[error(transparent)]
    Lmcache(#[from] LmcacheError),
    /// A chunk of `LMCache` does not consist of whole blocks.
    #[error(
        "`chunk_size` of the LMCache configuration is {chunk_tokens}, expected a multiple of `block_size` ({block_tokens})"
    )]
    ChunkSize {
        /// Tokens in one chunk.
        chunk_tokens: u32,
        /// Tokens in one block of the KV pool.
        block_tokens: u32,
    },
    /// The host is not an address of this machine.
    #[error("cannot find the address of `{host}`: {source}; give `--host` one of this machine")]
    Host {
        /// The host as given.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose others with `--host` and `--port`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The moments of the answers could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Stamps {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A fault could not be made.
    #[error("cannot go wrong as `--fault` wants: {0}")]
    Fault(#[source] io::Error),
    /// The thread that paces the chunks did not start.
    #[error("cannot start the pacing thread: {0}")]
    Thread(#[source] io::Error),
}

impl SimError {
    pub(super) fn parameter(name: &'static str, found: f64, expected: &str) -> Self {
        Self::Parameter {
            name,
            found: found.to_string(),
            expected: expected.to_owned(),
        }
    }
}
