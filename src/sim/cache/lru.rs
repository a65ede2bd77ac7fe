//! A set of hashes in the order of their last use.

use std::collections::{BTreeMap, HashMap};

/// A set of hashes in the order of their last use.
#[derive(Debug, Default)]
pub(crate) struct LruSet {
    used: HashMap<u64, u64>,
    order: BTreeMap<u64, u64>,
    clock: u64,
}

impl LruSet {
    /// The number of hashes.
    pub(crate) fn len(&self) -> usize {
        self.used.len()
    }

    pub(crate) fn contains(&self, hash: u64) -> bool {
        self.used.contains_key(&hash)
    }

    /// Marks the hash as used last, and adds it if it is missing.
    pub(crate) fn touch(&mut self, hash: u64) {
        self.clock += 1;
        if let Some(before) = self.used.insert(hash, self.clock) {
            self.order.remove(&before);
        }
        self.order.insert(self.clock, hash);
    }

    /// Removes the hash if the set has it.
    pub(crate) fn remove(&mut self, hash: u64) {
        if let Some(used) = self.used.remove(&hash) {
            self.order.remove(&used);
        }
    }

    /// Removes and returns the hash that was used longest ago.
    pub(crate) fn pop_oldest(&mut self) -> Option<u64> {
        let (_, hash) = self.order.pop_first()?;
        self.used.remove(&hash);
        Some(hash)
    }

    /// Removes all hashes.
    pub(crate) fn clear(&mut self) {
        self.used.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pop_oldest_returns_the_least_recently_used_hash() {
        let mut lru = LruSet::default();
        for hash in [1, 2, 3, 1] {
            lru.touch(hash);
        }
        lru.remove(3);
        lru.remove(3);
        assert_eq!(lru.len(), 2);
        assert_eq!(
            [lru.pop_oldest(), lru.pop_oldest(), lru.pop_oldest()],
            [Some(2), Some(1), None]
        );
    }
}
