//! The metrics of guidellm: every distribution by the status of the requests.

use super::super::run::Run;
use super::over_time::{Window, concurrency, rates};
use super::summary::of_values;
use crate::core::Row;
use serde_json::{Map, Value, json};

/// A value of a request, and its weight.
type WeightedMeasure = fn(&Row) -> Option<(f64, f64)>;
/// The moments at which a request adds to a rate, and the amount at each.
type RateEvents = fn(&Row) -> Vec<(f64, f64)>;

const MEASURES: [(&str, WeightedMeasure); 8] = [
    ("request_latency", |row| once(row.ended_s? - row.sent_s?)),
    ("time_to_first_token_ms", |row| {
        once((row.first_token_s? - row.sent_s?) * 1e3)
    }),
    ("time_to_first_output_token_ms", |row| {
        once((row.first_answer_s? - row.sent_s?) * 1e3)
    }),
    // Each token but the first weighs the same.
    ("inter_token_latency_ms", |row| {
        let gaps = row.output_tokens?.checked_sub(1).filter(|gaps| *gaps > 0)? as f64;
        Some(((row.last_token_s? - row.first_token_s?) * 1e3 / gaps, gaps))
    }),
    // Over the whole time, including that to the first token.
    ("time_per_output_token_ms", |row| {
        let tokens = row.output_tokens.filter(|tokens| *tokens > 0)? as f64;
        Some(((row.last_token_s? - row.sent_s?) * 1e3 / tokens, tokens))
    }),
    ("prompt_token_count", |row| once(row.prompt_tokens? as f64)),
    ("output_token_count", |row| once(row.output_tokens? as f64)),
    ("total_token_count", |row| {
        once((row.prompt_tokens? + row.output_tokens?) as f64)
    }),
];

const RATES: [(&str, RateEvents); 4] = [
    ("requests_per_second", |row| {
        row.ended_s.map(|at_s| (at_s, 1.0)).into_iter().collect()
    }),
    ("prompt_tokens_per_second", prompt_events),
    ("output_tokens_per_second", output_events),
    ("tokens_per_second", |row| {
        [prompt_events(row), output_events(row)].concat()
    }),
];

const ITERATIONS: [(&str, RateEvents); 2] = [
    ("output_tokens_per_iteration", output_events),
    ("iter_tokens_per_iteration", later_events),
];

/// Metrics that the tool requires and rows do not contain.
const WITHOUT_VALUES: [&str; 3] = [
    "request_streaming_iterations_count",
    "time_to_last_round_trip_ms",
    "avg_round_trip_time_ms",
];

/// Metrics that the tool does not require: they are `null`.
const LEFT_OUT: [(&str, &[&str]); 5] = [
    ("text", &["tokens", "words", "characters"]),
    ("image", &["tokens", "images", "pixels", "bytes"]),
    ("video", &["tokens", "frames", "seconds", "bytes"]),
    ("audio", &["tokens", "samples", "seconds", "bytes"]),
    ("tool_call", &["tokens", "mixed_tokens", "count"]),
];

#[expect(clippy::unnecessary_wraps, reason = "the measures end with it")]
fn once(value: f64) -> Option<(f64, f64)> {
    Some((value, 1.0))
}

/// Returns the tokens of the prompt, at the moment of the first token.
fn prompt_events(row: &Row) -> Vec<(f64, f64)> {
    let tokens = row.prompt_tokens.unwrap_or(0) as f64;
    row.first_token_s
        .or(row.ended_s)
        .map(|at_s| (at_s, tokens))
        .into_iter()
        .collect()
}

/// Returns one token at the first chunk, and the others evenly over the later ones; all at the end if there
/// is no later chunk.
fn output_events(row: &Row) -> Vec<(f64, f64)> {
    let tokens = row.output_tokens.unwrap_or(0) as f64;
    match (row.first_token_s, row.last_token_s, row.chunks) {
        (Some(first_s), Some(_), 2..) => {
            [vec![(first_s, tokens.min(1.0))], later_events(row)].concat()
        }
        _ => row
            .last_token_s
            .or(row.ended_s)
            .map(|at_s| (at_s, tokens))
            .into_iter()
            .collect(),
    }
}

/// Returns the tokens after the first, evenly over the chunks after the first.
fn later_events(row: &Row) -> Vec<(f64, f64)> {
    let (Some(first_s), Some(last_s)) = (row.first_token_s, row.last_token_s) else {
        return Vec::new();
    };
    let gaps = row.chunks.saturating_sub(1) as u64;
    let tokens = row.output_tokens.unwrap_or(0).saturating_sub(1);
    if gaps == 0 || tokens == 0 {
        return Vec::new();
    }
    let step_s = (last_s - first_s) / gaps as f64;
    let per_gap = tokens as f64 / gaps as f64;
    (1..=gaps)
        .map(|gap| (first_s + gap as f64 * step_s, per_gap))
        .collect()
}

/// The metrics of the requests.
pub fn metrics(run: &Run, window: Window) -> Map<String, Value> {
    let mut metrics = Map::new();
    metrics.insert("request_totals".into(), totals(run));
    for (name, measure) in MEASURES {
        let values = |rows: &[&Row]| rows.iter().filter_map(|row| measure(row)).collect();
        metrics.insert(name.into(), by_status(run, |rows| of_values(values(rows))));
    }
    for (name, events) in RATES {
        let has_prompts = matches!(name, "prompt_tokens_per_second" | "tokens_per_second");
        let is_unknown = has_prompts && run.tokens(|row| row.prompt_tokens).is_none();
        let all = |rows: &[&Row]| rows.iter().flat_map(|row| events(row)).collect();
        let rate = |rows: &[&Row]| rates(all(if is_unknown { &[] } else { rows }), window);
        metrics.insert(name.into(), by_status(run, rate));
    }
    for (name, events) in ITERATIONS {
        let tokens = |row: &&Row| events(row).into_iter().map(|(_, tokens)| (tokens, 1.0));
        let values = |rows: &[&Row]| rows.iter().flat_map(tokens).collect();
        metrics.insert(name.into(), by_status(run, |rows| of_values(values(rows))));
    }
    let in_flight = by_status(run, |rows| concurrency(&intervals(rows), window));
    metrics.insert("request_concurrency".into(), in_flight);
    for name in WITHOUT_VALUES {
        metrics.insert(name.into(), by_status(run, |_| of_values(Vec::new())));
    }
    for (name, parts) in LEFT_OUT {
        metrics.insert(
            name.into(),
            parts
                .iter()
                .map(|part| ((*part).to_owned(), Value::Null))
                .collect(),
        );
    }
    metrics
}

/// The number of requests of each status.
pub fn totals(run: &Run) -> Value {
    let (successful, errored) = run.counts();
    json!({ "successful": successful, "errored": errored, "incomplete": 0, "total": successful + errored })
}

fn intervals(rows: &[&Row]) -> Vec<(f64, f64)> {
    rows.iter()
        .filter_map(|row| Some((row.sent_s?, row.ended_s?)))
        .collect()
}

/// A summary of the requests of each status. lmrun has no incomplete ones: it counts a request that was cut
/// off as failed.
fn by_status(run: &Run, summarize: impl Fn(&[&Row]) -> Value) -> Value {
    let all: Vec<&Row> = run.all().iter().collect();
    let (successful, errored): (Vec<&Row>, Vec<&Row>) = all.iter().partition(|row| row.is_ok());
    json!({
        "successful": summarize(&successful),
        "errored": summarize(&errored),
        "incomplete": summarize(&[]),
        "total": summarize(&all),
    })
}
