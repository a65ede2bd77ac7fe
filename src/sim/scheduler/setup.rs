//! The parts and settings of a scheduler.

use crate::sim::cache::{KvPool, Tiers};
use crate::sim::timing::Timing;

/// The parts and settings of a scheduler.
pub(crate) struct SchedulerSetup {
    pub(crate) timing: Timing,
    pub(crate) pool: KvPool,
    pub(crate) tiers: Option<Tiers>,
    /// Seconds that each request waits for the connector to the tiers; 0 without tiers.
    pub(crate) connector_s: f64,
    /// Maximum number of running requests.
    pub(crate) max_num_seqs: usize,
    /// Seed of the jitter.
    pub(crate) seed: u64,
}
