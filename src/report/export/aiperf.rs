//! The summary of aiperf, `profile_export_aiperf.json`.

use super::run::Run;
use super::sample::{Measure, linear, mean, std};
use crate::core::Row;
use serde_json::{Map, Value, json};

/// The fields that are missing, or that differ from the tool's.
pub const REMARKS: &[(&str, &str)] = &[
    (
        "time_to_second_token, inter_chunk_latency",
        "left out: a row has no list of gaps",
    ),
    (
        "input_sequence_length, output_sequence_length",
        "the engine's count; the tool's with `--use-server-token-count`",
    ),
    ("http_req_…, goodput", "left out: a row does not tell them"),
];

/// The version of the structure.
const SCHEMA: &str = "1.4";

const MEASURES: [(&str, &str, Measure); 8] = [
    ("time_to_first_token", "ms", ttft_ms),
    ("time_to_first_output_token", "ms", |row| {
        Some((row.first_answer_s? - row.sent_s?) * 1e3)
    }),
    ("request_latency", "ms", latency_ms),
    ("decode_duration", "ms", |row| {
        Some(latency_ms(row)? - ttft_ms(row)?)
    }),
    ("inter_token_latency", "ms", itl_ms),
    (
        "output_token_throughput_per_user",
        "tokens/sec/user",
        |row| Some(1e3 / itl_ms(row).filter(|ms| *ms > 0.0)?),
    ),
    ("input_sequence_length", "tokens", |row| {
        row.prompt_tokens.map(|tokens| tokens as f64)
    }),
    ("output_sequence_length", "tokens", |row| {
        row.output_tokens.map(|tokens| tokens as f64)
    }),
];

fn ttft_ms(row: &Row) -> Option<f64> {
    Some((row.first_token_s? - row.sent_s?) * 1e3)
}

fn latency_ms(row: &Row) -> Option<f64> {
    Some((row.last_token_s? - row.sent_s?) * 1e3)
}

fn itl_ms(row: &Row) -> Option<f64> {
    let gaps = row.output_tokens?.checked_sub(1).filter(|gaps| *gaps > 0)?;
    Some((latency_ms(row)? - ttft_ms(row)?) / gaps as f64)
}

/// Returns the fields of the export.
pub fn fields(run: &Run) -> Map<String, Value> {
    let (ok, failed) = run.counts();
    let mut fields = Map::from_iter([("schema_version".to_owned(), json!(SCHEMA))]);
    for (name, unit, measure) in MEASURES {
        let statistics = statistics(unit, &run.measure(measure));
        fields.extend(statistics.map(|statistics| (name.to_owned(), statistics)));
    }
    let duration_s = duration_s(run);
    let rate =
        |count: Option<f64>| Some(count? / duration_s.filter(|duration_s| *duration_s > 0.0)?);
    let output = run
        .tokens(|row| row.output_tokens)
        .map(|tokens| tokens as f64);
    let input = run
        .tokens(|row| row.prompt_tokens)
        .map(|tokens| tokens as f64);
    let all = output.zip(input).map(|(output, input)| output + input);
    for (name, unit, value) in [
        ("request_count", "requests", Some(ok as f64)),
        ("error_request_count", "requests", Some(failed as f64)),
        ("benchmark_duration", "sec", duration_s),
        ("request_throughput", "requests/sec", rate(Some(ok as f64))),
        ("output_token_throughput", "tokens/sec", rate(output)),
        ("total_token_throughput", "tokens/sec", rate(all)),
    ] {
        fields.extend(value.map(|value| (name.to_owned(), json!({ "unit": unit, "avg": value }))));
    }
    fields
}

/// From the first send to the last output.
fn duration_s(run: &Run) -> Option<f64> {
    let end_s = run
        .measure(|row| row.last_token_s)
        .into_iter()
        .reduce(f64::max)?;
    Some(end_s - run.first_sent_s()?)
}

fn statistics(unit: &str, values: &[f64]) -> Option<Value> {
    let percentile = |p: f64| linear(values, p);
    let (min, max) = (percentile(0.0)?, percentile(100.0)?);
    let mut fields = Map::new();
    fields.insert("unit".into(), json!(unit));
    fields.insert("avg".into(), json!(mean(values)));
    for p in [1, 5, 10, 25, 50, 75, 90, 95, 99] {
        fields.insert(format!("p{p}"), json!(percentile(f64::from(p))));
    }
    fields.extend(
        [
            ("min", min),
            ("max", max),
            ("std", std(values)),
            ("sum", values.iter().sum()),
        ]
        .map(|(name, value)| (name.to_owned(), json!(value))),
    );
    fields.insert("count".into(), json!(values.len()));
    Some(Value::Object(fields))
}
