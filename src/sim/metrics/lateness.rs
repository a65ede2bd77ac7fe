//! How late chunks were written: counts in buckets of about 3 %, so that a percentile costs no memory of its own.

const STEPS_PER_DOUBLING: u64 = 32;
const DOUBLINGS: u64 = 40;

/// The distribution of the server's own lateness.
#[derive(Debug)]
pub struct Lateness {
    counts: Vec<u64>,
    count: u64,
    sum_ns: u64,
    max_ns: u64,
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            counts: vec![0; (STEPS_PER_DOUBLING * DOUBLINGS) as usize],
            count: 0,
            sum_ns: 0,
            max_ns: 0,
        }
    }
}

impl Lateness {
    /// Counts one chunk.
    pub fn record(&mut self, late_ns: u64) {
        let bucket = bucket(late_ns).min(self.counts.len() - 1);
        self.counts[bucket] += 1;
        self.count += 1;
        self.sum_ns += late_ns;
        self.max_ns = self.max_ns.max(late_ns);
    }

    /// Number of chunks.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum over the chunks, in seconds.
    pub fn sum_s(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// The worst chunk, in seconds.
    pub fn max_s(&self) -> f64 {
        self.max_ns as f64 / 1e9
    }

    /// The lateness that this part of the chunks does not exceed, in seconds; 0 before the first chunk.
    pub fn quantile_s(&self, part: f64) -> f64 {
        let rank = (part * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                return (upper_ns(bucket as u64).min(self.max_ns)) as f64 / 1e9;
            }
        }
        0.0
    }
}

/// Values below 32 have a bucket each; above, each doubling has 32.
fn bucket(value: u64) -> usize {
    if value < STEPS_PER_DOUBLING {
        return value as usize;
    }
    let shift = u64::from(value.ilog2()) - 5;
    ((shift + 1) * STEPS_PER_DOUBLING + (value >> shift) - STEPS_PER_DOUBLING) as usize
}

fn upper_ns(bucket: u64) -> u64 {
    if bucket < STEPS_PER_DOUBLING {
        return bucket;
    }
    let shift = bucket / STEPS_PER_DOUBLING - 1;
    ((bucket % STEPS_PER_DOUBLING + STEPS_PER_DOUBLING + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut lateness = Lateness::default();
        assert!(lateness.quantile_s(0.99) < 1e-12);
        (1..=1_000).for_each(|micros| lateness.record(micros * 1_000));
        assert!((lateness.quantile_s(0.5) / 500e-6 - 1.0).abs() < 0.04);
        assert!((lateness.quantile_s(0.99) / 990e-6 - 1.0).abs() < 0.04);
        assert!((lateness.quantile_s(1.0) - 1e-3).abs() < 1e-12);
        assert!((lateness.max_s() - 1e-3).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket(value in 0u64..1 << 42) {
            let bucket = bucket(value) as u64;
            prop_assert!(value <= upper_ns(bucket));
            prop_assert!(bucket == 0 || value > upper_ns(bucket - 1));
        }
    }
}
