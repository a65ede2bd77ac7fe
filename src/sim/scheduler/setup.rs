//! What a scheduler is made with.

use super::super::{
    cache::{Pool, Tiers},
    timing::Timing,
};

/// What a scheduler is made with.
pub struct Setup {
    /// How fast the model computes.
    pub timing: Timing,
    /// The KV pool.
    pub pool: Pool,
    /// The tiers behind it.
    pub tiers: Option<Tiers>,
    /// Seconds every request waits for the connector to the tiers.
    pub connector_s: f64,
    /// Tokens in one block of the KV pool.
    pub block_tokens: u32,
    /// Size of one token's KV.
    pub kv_gib_per_token: f64,
    /// Requests that run at once.
    pub max_num_seqs: usize,
    /// Seed of the jitter.
    pub seed: u64,
}
