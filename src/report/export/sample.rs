//! Statistics as other tools compute them.

use crate::bench::Distribution;
use crate::bench::results::Record;

/// What a request has of something, where it has it.
pub type Measure = fn(&Record) -> Option<f64>;

/// The arithmetic mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation, over `n - ddof` as numpy has it; 0 where that is nothing.
pub fn std(values: &[f64], ddof: usize) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    match values.len().saturating_sub(ddof) {
        0 => 0.0,
        n => (squares / n as f64).sqrt(),
    }
}

/// numpy's percentile: linear between neighbours.
pub fn linear(values: &[f64], p: f64) -> Option<f64> {
    values.iter().copied().collect::<Distribution>().percentile(p)
}

/// Values with weights, in the order of the values; those of no weight are none.
#[derive(Debug, PartialEq)]
pub struct Weighted(Vec<(f64, f64)>);

impl Weighted {
    /// Values and their weights.
    pub fn new(values: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut values: Vec<_> = values.into_iter().filter(|(_, weight)| *weight > 0.0).collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all: f64 = values.iter().map(|(_, weight)| weight).sum();
        Self(values.into_iter().map(|(value, weight)| (value, weight / all)).collect())
    }

    /// The values, ascending.
    pub fn values(&self) -> Vec<f64> {
        self.0.iter().map(|(value, _)| *value).collect()
    }

    /// The weighted mean.
    pub fn mean(&self) -> f64 {
        self.0.iter().map(|(value, share)| value * share).sum()
    }

    /// The weighted variance.
    pub fn variance(&self) -> f64 {
        let mean = self.mean();
        self.0.iter().map(|(value, share)| (value - mean).powi(2) * share).sum()
    }

    /// The first value up to which there is the share `p` of the weight.
    pub fn quantile(&self, p: f64) -> Option<f64> {
        let up_to = self.0.iter().scan(0.0, |sum, (value, share)| {
            *sum += share;
            Some((*value, *sum))
        });
        up_to.into_iter().find(|(_, sum)| *sum >= p).map(|(value, _)| value)
    }
}
