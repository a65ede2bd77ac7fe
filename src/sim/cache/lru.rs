//! A set of hashes in the order of their last use.

use std::collections::{BTreeMap, HashMap};

/// A set of hashes in the order of their last use.
#[derive(Debug, Default)]
pub struct Lru {
    used: HashMap<u64, u64>,
    order: BTreeMap<u64, u64>,
    clock: u64,
}

impl Lru {
    /// Number of hashes.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Whether the hash is here.
    pub fn contains(&self, hash: u64) -> bool {
        self.used.contains_key(&hash)
    }

    /// Makes the hash the last one used, adding it where it is not here.
    pub fn touch(&mut self, hash: u64) {
        self.clock += 1;
        if let Some(before) = self.used.insert(hash, self.clock) {
            self.order.remove(&before);
        }
        self.order.insert(self.clock, hash);
    }

    /// Takes the hash out; says whether it was here.
    pub fn remove(&mut self, hash: u64) -> bool {
        let used = self.used.remove(&hash);
        used.is_some_and(|at| self.order.remove(&at).is_some())
    }

    /// Takes out the hash whose last use is longest ago.
    pub fn pop_oldest(&mut self) -> Option<u64> {
        let (_, hash) = self.order.pop_first()?;
        self.used.remove(&hash);
        Some(hash)
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.used.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_use_goes_first() {
        let mut lru = Lru::default();
        for hash in [1, 2, 3, 1] {
            lru.touch(hash);
        }
        assert!(lru.remove(3));
        assert!(!lru.remove(3));
        assert_eq!(lru.len(), 2);
        assert_eq!(
            [lru.pop_oldest(), lru.pop_oldest(), lru.pop_oldest()],
            [Some(2), Some(1), None]
        );
    }
}
