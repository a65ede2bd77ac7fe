//! The number of requests that may be in flight at once.

use crate::core::run::send::EngineRun;
use crate::driver::limits::max_descriptors;

/// Files that are open beside the connections: logs, results, libraries, pipes.
const BESIDE: u64 = 64;

/// Returns a message if the system does not allow as many open connections as the requests of all
/// engines are planned to need at the same time. Nothing has been sent at that point.
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
