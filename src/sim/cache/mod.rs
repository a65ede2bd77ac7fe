//! The caches of an engine: the KV pool on the GPU and the tiers behind it. They have no clock.

mod lru;
mod pool;
mod tier;

pub(crate) use pool::{BlockLease, KvPool};
pub(crate) use tier::{Tier, TierKind, Tiers};
