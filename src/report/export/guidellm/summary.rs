//! The summary of a sample, as guidellm defines it.

use super::super::sample::Weighted;
use serde_json::{Map, Value, json};

const PERCENTILES: [(&str, f64); 11] = [
    ("p001", 0.001),
    ("p01", 0.01),
    ("p05", 0.05),
    ("p10", 0.1),
    ("p25", 0.25),
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
];

/// Returns the summary of a sample, whose observations are `count`. The tool writes zeros if a sample has no
/// value.
pub fn summary(sample: &Weighted, count: f64) -> Value {
    let quantile = |share| sample.quantile(share).unwrap_or(0.0);
    let percentiles: Map<String, Value> = PERCENTILES
        .into_iter()
        .map(|(name, share)| (name.to_owned(), json!(quantile(share))))
        .collect();
    json!({
        "mean": sample.mean(),
        "median": quantile(0.5),
        "mode": sample.mode().unwrap_or(0.0),
        "variance": sample.variance(),
        "std_dev": sample.variance().sqrt(),
        "min": sample.min().unwrap_or(0.0),
        "max": sample.max().unwrap_or(0.0),
        "count": count.round() as u64,
        "total_sum": sample.mean() * count,
        "percentiles": percentiles,
    })
}

/// Returns the summary of values with weights, each of which counts as often as it weighs.
pub fn of_values(values: Vec<(f64, f64)>) -> Value {
    let count: f64 = values.iter().map(|(_, weight)| weight).sum();
    summary(&Weighted::new(values), count.round())
}
