//! Statistics as other tools compute them.

use crate::core::Distribution;
use crate::core::Row;

/// A value of a request, if the request has it.
pub type Measure = fn(&Row) -> Option<f64>;

/// The arithmetic mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of the population: over the number of values.
pub fn std(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / values.len() as f64).sqrt()
}

/// numpy's percentile: linear between neighbours.
pub fn linear(values: &[f64], p: f64) -> Option<f64> {
    values
        .iter()
        .copied()
        .collect::<Distribution>()
        .percentile(p)
}

/// Values and the share of the weight that each has, ascending. A value without weight is skipped.
#[derive(Debug)]
pub struct Weighted(Vec<(f64, f64)>);

impl Weighted {
    /// The sample of values with weights.
    pub fn new(values: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut values: Vec<_> = values
            .into_iter()
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        values.dedup_by(|next, kept| {
            let is_same = next.0.total_cmp(&kept.0).is_eq();
            kept.1 += if is_same { next.1 } else { 0.0 };
            is_same
        });
        let all: f64 = values.iter().map(|(_, weight)| weight).sum();
        Self(
            values
                .into_iter()
                .map(|(value, weight)| (value, weight / all))
                .collect(),
        )
    }

    /// The smallest value.
    pub fn min(&self) -> Option<f64> {
        self.0.first().map(|(value, _)| *value)
    }

    /// The largest value.
    pub fn max(&self) -> Option<f64> {
        self.0.last().map(|(value, _)| *value)
    }

    /// The value with the largest share, the smallest of several.
    pub fn mode(&self) -> Option<f64> {
        let heavier = |a: (f64, f64), b: (f64, f64)| if b.1 > a.1 { b } else { a };
        self.0
            .iter()
            .copied()
            .reduce(heavier)
            .map(|(value, _)| value)
    }

    /// The weighted mean, 0 without a value.
    pub fn mean(&self) -> f64 {
        self.0.iter().map(|(value, share)| value * share).sum()
    }

    /// The weighted variance, 0 without a value.
    pub fn variance(&self) -> f64 {
        let mean = self.mean();
        self.0
            .iter()
            .map(|(value, share)| (value - mean).powi(2) * share)
            .sum()
    }

    /// The first value up to which there is the share `p` of the weight.
    pub fn quantile(&self, p: f64) -> Option<f64> {
        let mut sum = 0.0;
        let reaches = |(_, share): &&(f64, f64)| {
            sum += share;
            sum >= p
        };
        self.0.iter().find(reaches).map(|(value, _)| *value)
    }
}
