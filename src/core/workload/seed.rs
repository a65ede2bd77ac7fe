//! Independent random numbers for each purpose: those of one do not depend on those of others.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Returns the seed of a thing: `number` of this `kind`.
pub(super) fn seed_of(seed: u64, kind: &str, number: u64) -> u64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(kind.bytes().fold(0, |sum: u64, byte| {
        sum.wrapping_mul(257).wrapping_add(byte.into())
    }));
    random.set_word_pos(u128::from(number) * 2);
    random.random()
}

/// Creates a random generator for one purpose of a workload.
pub(super) fn random(seed: u64, purpose: &str) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed_of(seed, purpose, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn seeds_differ_by_kind_and_number(seed: u64, number in 0u64..1_000_000) {
            let one = seed_of(seed, "document", number);
            prop_assert_eq!(one, seed_of(seed, "document", number));
            prop_assert_ne!(one, seed_of(seed, "document", number + 1));
            prop_assert_ne!(one, seed_of(seed, "question", number));
            prop_assert_ne!(one, seed_of(seed.wrapping_add(1), "document", number));
        }
    }
}
