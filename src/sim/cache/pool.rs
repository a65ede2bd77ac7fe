//! The KV pool: a fixed number of blocks, shared between requests that begin alike.
//!
//! A request leases all blocks it can come to need before it starts, so that none is ever preempted. Blocks whose
//! content is known are shared by hash; a shared block that nobody leases stays as long as there is room for it.

use std::collections::HashMap;

use super::lru::Lru;

/// The KV pool of one engine.
#[derive(Debug)]
pub struct Pool {
    capacity_blocks: usize,
    caching: bool,
    pinned: HashMap<u64, usize>,
    idle: Lru,
    private_blocks: usize,
}

/// The blocks of one request: give it back to the pool it comes from.
#[derive(Debug)]
#[must_use]
pub struct Lease {
    shared: Vec<u64>,
    private_blocks: usize,
}

impl Pool {
    /// An empty pool. Without prefix caching no block is ever shared.
    pub fn new(capacity_blocks: usize, prefix_caching: bool) -> Self {
        Self {
            capacity_blocks,
            caching: prefix_caching,
            pinned: HashMap::new(),
            idle: Lru::default(),
            private_blocks: 0,
        }
    }

    /// Number of leading blocks that are here.
    pub fn hits(&self, blocks: &[u64]) -> usize {
        blocks
            .iter()
            .take_while(|block| self.contains(**block))
            .count()
    }

    /// Leases `total_blocks`, the first of them shared: these must be here. `None` where there is no room now.
    pub fn lease(&mut self, shared: &[u64], total_blocks: usize) -> Option<Lease> {
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
        Some(Lease {
            shared: shared.to_vec(),
            private_blocks,
        })
    }

    /// Shares what a lease has computed: `blocks` are the hashes of its blocks, from its first one on.
    pub fn publish(&mut self, lease: &mut Lease, blocks: &[u64]) {
        if !self.caching {
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

    /// Ends a lease. Its shared blocks stay, the last of them the first to go.
    pub fn give_back(&mut self, lease: Lease) {
        self.private_blocks -= lease.private_blocks;
        for block in lease.shared.into_iter().rev() {
            self.unpin(block);
        }
    }

    /// Forgets all blocks, unless some are leased. Says whether it did.
    pub fn reset(&mut self) -> bool {
        if self.used_blocks() > 0 {
            return false;
        }
        self.idle.clear();
        true
    }

    /// Blocks that requests hold now.
    pub fn used_blocks(&self) -> usize {
        self.pinned.len() + self.private_blocks
    }

    /// Blocks there are.
    pub fn capacity_blocks(&self) -> usize {
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
    use proptest::prelude::*;

    use super::*;

    /// Runs one request to its end: what it hits, or `None` where it found no room.
    fn serve(pool: &mut Pool, blocks: &[u64]) -> Option<usize> {
        let hits = pool.hits(blocks);
        let mut lease = pool.lease(&blocks[..hits], blocks.len() + 1)?;
        pool.publish(&mut lease, blocks);
        pool.give_back(lease);
        Some(hits)
    }

    #[test]
    fn a_prefix_is_found_again_as_far_as_it_is_the_same() {
        let mut pool = Pool::new(100, true);
        assert_eq!(serve(&mut pool, &[1, 2, 3]), Some(0));
        assert_eq!(serve(&mut pool, &[1, 2, 9, 3]), Some(2));
        assert_eq!(serve(&mut pool, &[7, 2, 3]), Some(0));
        assert!(pool.reset());
        assert_eq!(pool.hits(&[1, 2, 3]), 0);
    }

    #[test]
    fn without_prefix_caching_nothing_is_found() {
        let mut pool = Pool::new(100, false);
        serve(&mut pool, &[1, 2, 3]);
        assert_eq!(serve(&mut pool, &[1, 2, 3]), Some(0));
    }

    #[test]
    fn a_pool_that_is_leased_is_neither_lent_twice_nor_reset() {
        let mut pool = Pool::new(4, true);
        let lease = pool.lease(&[], 3).unwrap();
        assert!(pool.lease(&[], 2).is_none());
        assert!(!pool.reset());
        pool.give_back(lease);
        assert_eq!(pool.used_blocks(), 0);
        assert!(pool.lease(&[], 4).is_some());
    }

    #[test]
    fn the_end_of_the_oldest_prefix_goes_first() {
        let mut pool = Pool::new(6, true);
        serve(&mut pool, &[1, 2, 3]);
        serve(&mut pool, &[11, 12]);
        serve(&mut pool, &[21]);
        assert_eq!((pool.hits(&[1, 2, 3]), pool.hits(&[11, 12])), (2, 2));
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_its_capacity(
            capacity in 1usize..20,
            steps in prop::collection::vec((0u64..5, 1usize..12, any::<bool>()), 1..60),
        ) {
            let mut pool = Pool::new(capacity, true);
            let mut held = Vec::new();
            for (family, length, end_one) in steps {
                let blocks: Vec<u64> = (0..length as u64).map(|index| family * 100 + index).collect();
                let hits = pool.hits(&blocks);
                if let Some(mut lease) = pool.lease(&blocks[..hits], length) {
                    pool.publish(&mut lease, &blocks);
                    prop_assert_eq!(pool.hits(&blocks), length);
                    held.push(lease);
                }
                prop_assert!(pool.used_blocks() + pool.idle.len() <= capacity);
                if end_one && !held.is_empty() {
                    pool.give_back(held.remove(0));
                }
            }
            for lease in held {
                pool.give_back(lease);
            }
            prop_assert_eq!(pool.used_blocks(), 0);
        }
    }
}
