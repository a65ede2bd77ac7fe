//! How long requests may take, and how many there may be at once.

use crate::core::Seconds;
use crate::core::run::send::EngineRun;
use crate::driver::http::Limits;
use crate::driver::limits::max_descriptors;
use serde::Deserialize;

/// How long each part of a request may take. No wait is without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestLimits {
    /// Connecting.
    pub connect_s: Seconds,
    /// From the send to the first output: queueing and prefill are in it.
    pub first_token_s: Seconds,
    /// Between two events of the stream.
    pub between_chunks_s: Seconds,
    /// The whole request.
    pub total_s: Seconds,
}

impl Default for RequestLimits {
    fn default() -> Self {
        let Limits {
            connect_s,
            first_token_s,
            between_chunks_s,
            total_s,
        } = Limits::default();
        Self {
            connect_s: Seconds(connect_s),
            first_token_s: Seconds(first_token_s),
            between_chunks_s: Seconds(between_chunks_s),
            total_s: Seconds(total_s),
        }
    }
}

impl From<RequestLimits> for Limits {
    fn from(limits: RequestLimits) -> Self {
        Self {
            connect_s: limits.connect_s.0,
            first_token_s: limits.first_token_s.0,
            between_chunks_s: limits.between_chunks_s.0,
            total_s: limits.total_s.0,
        }
    }
}

/// Files that are open beside the connections: logs, results, libraries, pipes.
const BESIDE: u64 = 64;

/// What to say, before anything is sent, where the system does not let so many connections be open
/// as the requests of all lanes are planned to need at the same time.
pub fn too_many_at_once(lanes: &[EngineRun]) -> Option<String> {
    let at_once: u64 = lanes.iter().map(|lane| lane.at_once() as u64).sum();
    let (needed, allowed) = (at_once + BESIDE, max_descriptors()?);
    (needed > allowed).then(|| {
        format!(
            "{at_once} requests are to be under way at once, which takes {needed} open files, and the system \
             lets lmrun have {allowed}"
        )
    })
}
