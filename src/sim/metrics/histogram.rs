//! Histograms in the format of Prometheus, with vLLM's buckets.

/// Bounds of `vllm:time_to_first_token_seconds`.
pub(crate) const FIRST_TOKEN_S: [f64; 22] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
];

/// Bounds of `vllm:inter_token_latency_seconds`.
pub(crate) const INTER_TOKEN_S: [f64; 19] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
];

/// Bounds of `vllm:e2e_request_latency_seconds`.
pub(crate) const REQUEST_S: [f64; 21] = [
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0,
];

/// A histogram with fixed upper bounds.
#[derive(Debug)]
pub(crate) struct BucketHistogram {
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
}

impl BucketHistogram {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    /// Adds a value.
    pub(crate) fn record(&mut self, value: f64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound);
        self.counts[bucket.unwrap_or(self.bounds.len())] += 1;
        self.sum += value;
    }

    /// The bounds in Prometheus' format, each with the number of values up to it.
    pub(crate) fn cumulative(&self) -> Vec<(String, u64)> {
        let mut buckets = Vec::new();
        let mut sum = 0;
        for (index, count) in self.counts.iter().enumerate() {
            sum += count;
            let bound = match self.bounds.get(index) {
                Some(bound) => format!("{bound:?}"),
                None => "+Inf".to_owned(),
            };
            buckets.push((bound, sum));
        }
        buckets
    }

    /// The number of values.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of the values.
    pub(crate) fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_buckets_are_cumulative_and_include_their_bound() {
        let mut histogram = BucketHistogram::new(&INTER_TOKEN_S);
        for value in [0.01, 0.02, 0.025, 100.0] {
            histogram.record(value);
        }
        let buckets = histogram.cumulative();
        assert_eq!(
            buckets[..2],
            [("0.01".to_owned(), 1), ("0.025".to_owned(), 3)]
        );
        assert_eq!(buckets.last(), Some(&("+Inf".to_owned(), 4)));
        assert!((histogram.sum() - 100.055).abs() < 1e-9);
    }
}
