//! The metrics of guidellm.

use super::run::Run;
use super::sample::Weighted;
use crate::bench::results::Record;
use serde_json::{Map, Value, json};

/// What is left out, or is not what the tool has.
pub const REMARKS: &[(&str, &str)] = &[
    (
        "requests_per_second, request_concurrency, …_tokens_per_second",
        "left out: they weight every moment of the run",
    ),
    ("time_to_first_output_token_ms", "to the first content; the tool takes a tool call as well"),
    ("errored, incomplete, total", "left out: a failed request has no measures"),
    ("start", "the tool's is a little earlier, before it opens the stream"),
];

/// A value of a request, and how much it weighs.
type Measure = fn(&Record) -> Option<(f64, f64)>;

const MEASURES: [(&str, Measure); 7] = [
    ("request_latency", |record| once(record.done_s? - record.sent_s?)),
    ("time_to_first_token_ms", |record| once((record.first_token_s? - record.sent_s?) * 1e3)),
    ("time_to_first_output_token_ms", |record| once((record.first_answer_s? - record.sent_s?) * 1e3)),
    // Each token but the first weighs the same.
    ("inter_token_latency_ms", |record| {
        let gaps = record.output_tokens?.checked_sub(1).filter(|gaps| *gaps > 0)? as f64;
        Some(((record.last_token_s? - record.first_token_s?) * 1e3 / gaps, gaps))
    }),
    // Of the whole time, that to the first token too.
    ("time_per_output_token_ms", |record| {
        let tokens = record.output_tokens.filter(|tokens| *tokens > 0)? as f64;
        Some(((record.last_token_s? - record.sent_s?) * 1e3 / tokens, tokens))
    }),
    ("prompt_token_count", |record| once(record.prompt_tokens? as f64)),
    ("output_token_count", |record| once(record.output_tokens? as f64)),
];

#[expect(clippy::unnecessary_wraps, reason = "the measures end with it")]
fn once(value: f64) -> Option<(f64, f64)> {
    Some((value, 1.0))
}

/// What it writes of one benchmark.
pub fn fields(run: &Run) -> Map<String, Value> {
    let (successful, errored) = run.counts();
    let mut metrics = Map::new();
    metrics.insert(
        "request_totals".into(),
        json!({ "successful": successful, "errored": errored, "total": successful + errored }),
    );
    for (name, measure) in MEASURES {
        let summary = summary(&Weighted::new(run.ok().filter_map(measure)));
        metrics.extend(summary.map(|summary| (name.to_owned(), json!({ "successful": summary }))));
    }
    Map::from_iter([("model".to_owned(), json!(run.model())), ("metrics".to_owned(), Value::Object(metrics))])
}

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

fn summary(sample: &Weighted) -> Option<Value> {
    let values = sample.values();
    let (min, max) = (values.first()?, values.last()?);
    let percentile = |(name, p): (&str, f64)| (name.to_owned(), json!(sample.quantile(p)));
    Some(json!({
        "mean": sample.mean(),
        "median": sample.quantile(0.5),
        "variance": sample.variance(),
        "std_dev": sample.variance().sqrt(),
        "min": min,
        "max": max,
        "count": values.len(),
        "total_sum": values.iter().sum::<f64>(),
        "percentiles": PERCENTILES.into_iter().map(percentile).collect::<Map<_, _>>(),
    }))
}
