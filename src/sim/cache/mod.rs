//! What an engine remembers: the KV pool on the GPU, and the tiers behind it. Pure state, no clock.

mod lru;
mod pool;
mod tier;

pub use pool::{Lease, Pool};
pub use tier::{Tier, TierKind, Tiers};
