//! The KV pool: a fixed number of blocks, shared between requests with a common prefix.
//!
//! A request leases all the blocks that it can need before it starts, so requests are never
//! preempted. Blocks with known content are shared by hash. A shared block without a lease stays
//! until its room is needed.

use super::lru::LruSet;
use std::collections::HashMap;

/// The KV pool of one engine.
#[derive(Debug)]
pub(crate) struct KvPool {
    capacity_blocks: usize,
    prefix_caching: bool,
    /// Shared blocks in use, with the number of their leases.
    pinned: HashMap<u64, usize>,
    /// Shared blocks without a lease.
    idle: LruSet,
    private_blocks: usize,
}

/// The blocks of one request, which must be released to their pool.
#[derive(Debug)]
#[must_use]
pub(crate) struct BlockLease {
    shared: Vec<u64>,
    private_blocks: usize,
}

impl KvPool {
    /// Returns an empty pool. Without prefix caching, blocks are never shared.
    pub(crate) fn new(capacity_blocks: usize, prefix_caching: bool) -> Self {
        Self {
            capacity_blocks,
            prefix_caching,
            pinned: HashMap::new(),
            idle: LruSet::default(),
            private_blocks: 0,
        }
    }

    /// The number of leading blocks that the pool has.
    pub(crate) fn hits(&self, blocks: &[u64]) -> usize {
        blocks
            .iter()
            .take_while(|block| self.contains(**block))
            .count()
    }

    /// Leases `total_blocks`, of which the first are `shared`, which the pool must have. Returns
    /// `None` if there is not enough room now.
    pub(crate) fn lease(&mut self, shared: &[u64], total_blocks: usize) -> Option<BlockLease> {
        let newly_pinned = shared
            .iter()
            .filter(|block| !self.pinned.contains_key(block))
            .count();
        let private_blocks = total_blocks.saturating_sub(shared.len());
        if self.used_blocks() + newly_pinned + private_blocks > self.capacity_blocks {
            return None;
        }
        for block in shared {
            self.pin(*block);
        }
        self.private_blocks += private_blocks;
        self.evict();
        Some(BlockLease {
            shared: shared.to_vec(),
            private_blocks,
        })
    }

    /// Shares computed blocks. `blocks` are the hashes of the lease's blocks, from its first one
    /// on.
    pub(crate) fn publish(&mut self, lease: &mut BlockLease, blocks: &[u64]) {
        if !self.prefix_caching {
            return;
        }
        for block in blocks
            .iter()
            .skip(lease.shared.len())
            .take(lease.private_blocks)
        {
            self.pin(*block);
            lease.shared.push(*block);
            lease.private_blocks -= 1;
            self.private_blocks -= 1;
        }
    }

    /// Ends a lease. Its shared blocks stay; the last of them is evicted first.
    pub(crate) fn release(&mut self, lease: BlockLease) {
        self.private_blocks -= lease.private_blocks;
        for block in lease.shared.into_iter().rev() {
            self.unpin(block);
        }
    }

    /// Removes all blocks. Returns false, and removes none, if requests hold blocks.
    pub(crate) fn reset(&mut self) -> bool {
        if self.used_blocks() > 0 {
            return false;
        }
        self.idle.clear();
        true
    }

    /// The number of blocks that requests hold now.
    pub(crate) fn used_blocks(&self) -> usize {
        self.pinned.len() + self.private_blocks
    }

    pub(crate) fn capacity_blocks(&self) -> usize {
        self.capacity_blocks
    }

    fn contains(&self, block: u64) -> bool {
        self.pinned.contains_key(&block) || self.idle.contains(block)
    }

    fn pin(&mut self, block: u64) {
        self.idle.remove(block);
        *self.pinned.entry(block).or_insert(0) += 1;
    }

    fn unpin(&mut self, block: u64) {
        let Some(leases) = self.pinned.get_mut(&block) else {
            return;
        };
        *leases -= 1;
        if *leases == 0 {
            self.pinned.remove(&block);
            self.idle.touch(block);
        }
    }

    fn evict(&mut self) {
        while self.used_blocks() + self.idle.len() > self.capacity_blocks
            && self.idle.pop_oldest().is_some()
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs one request to its end. Returns its hits, or `None` if there was no room.
    fn serve(pool: &mut KvPool, blocks: &[u64]) -> Option<usize> {
        let hits = pool.hits(blocks);
        let mut lease = pool.lease(&blocks[..hits], blocks.len() + 1)?;
        pool.publish(&mut lease, blocks);
        pool.release(lease);
        Some(hits)
    }

    #[test]
    fn pool_hits_the_common_prefix() {
        let mut pool = KvPool::new(100, true);
        assert_eq!(serve(&mut pool, &[1, 2, 3]), Some(0));
        assert_eq!(serve(&mut pool, &[1, 2, 9, 3]), Some(2));
        assert_eq!(serve(&mut pool, &[7, 2, 3]), Some(0));
        assert!(pool.reset());
        assert_eq!(pool.hits(&[1, 2, 3]), 0);
    }

    #[test]
    fn pool_without_prefix_caching_has_no_hits() {
        let mut pool = KvPool::new(100, false);
        serve(&mut pool, &[1, 2, 3]);
        assert_eq!(serve(&mut pool, &[1, 2, 3]), Some(0));
    }

    #[test]
    fn leased_blocks_are_not_leased_twice_or_reset() {
        let mut pool = KvPool::new(4, true);
        let lease = pool.lease(&[], 3).unwrap();
        assert!(pool.lease(&[], 2).is_none());
        assert!(!pool.reset());
        pool.release(lease);
        assert_eq!(pool.used_blocks(), 0);
        assert!(pool.lease(&[], 4).is_some());
    }

    #[test]
    fn pool_evicts_the_end_of_the_oldest_prefix_first() {
        let mut pool = KvPool::new(6, true);
        serve(&mut pool, &[1, 2, 3]);
        serve(&mut pool, &[11, 12]);
        serve(&mut pool, &[21]);
        assert_eq!((pool.hits(&[1, 2, 3]), pool.hits(&[11, 12])), (2, 2));
    }

    proptest! {
        #[test]
        fn pool_never_exceeds_its_capacity(
            capacity in 1usize..20,
            steps in prop::collection::vec((0u64..5, 1usize..12, any::<bool>()), 1..60),
        ) {
            let mut pool = KvPool::new(capacity, true);
            let mut held = Vec::new();
            for (family, length, end_one) in steps {
                let blocks: Vec<u64> = (family * 100..).take(length).collect();
                let hits = pool.hits(&blocks);
                if let Some(mut lease) = pool.lease(&blocks[..hits], length) {
                    pool.publish(&mut lease, &blocks);
                    prop_assert_eq!(pool.hits(&blocks), length);
                    held.push(lease);
                }
                prop_assert!(pool.used_blocks() + pool.idle.len() <= capacity);
                if end_one && !held.is_empty() {
                    pool.release(held.remove(0));
                }
            }
            for lease in held {
                pool.release(lease);
            }
            prop_assert_eq!(pool.used_blocks(), 0);
        }
    }
}
