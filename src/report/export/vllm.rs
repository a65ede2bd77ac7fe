//! The result file of `vllm bench serve`.

use super::load::{Pace, RecordedLoad};
use super::run::Run;
use super::sample::{Measure, linear, mean, std};
use crate::core::Row;
use crate::core::workload::Endpoint;
use serde_json::{Map, Value, json};

/// The fields that are missing, or that differ from the tool's.
const REMARKS: [(&str, &str); 6] = [
    (
        "itl, itls, median_itl_ms, std_itl_ms, p99_itl_ms",
        "left out: a row has no list of gaps",
    ),
    (
        "mean_itl_ms",
        "between events with output; the tool's chat also has the gap behind the role",
    ),
    (
        "date",
        "the start of the run in UTC; the tool's is the local time at its end",
    ),
    (
        "max_output_tokens_per_s, max_concurrent_requests",
        "left out: they count chunks of every second",
    ),
    (
        "e2el, tpot",
        "end at the last output; the tool's at the last event with a choice, which may be empty",
    ),
    (
        "errors, generated_texts, start_times",
        "left out: failed requests would need entries of 0",
    ),
];

/// Remarks on fields that are missing in this run or that differ from the tool's own.
pub fn remarks(run: &Run) -> Vec<(&'static str, &'static str)> {
    let mut remarks = REMARKS.to_vec();
    if run.load().is_none() {
        let what =
            "date, backend, endpoint_type, tokenizer_id, request_rate, burstiness, max_concurrency";
        remarks.push((
            what,
            "left out: no manifest beside the CSV has the experiment",
        ));
    } else if run.pace() == Pace::Other {
        remarks.push((
            "request_rate",
            "left out: one rate does not describe the requests",
        ));
    }
    remarks
}

/// Returns the fields of the export.
pub fn fields(run: &Run) -> Map<String, Value> {
    let (completed, failed) = run.counts();
    let mut fields = Map::new();
    if let Some(load) = run.load() {
        add_load(&mut fields, load, run.pace());
    }
    fields.insert("label".into(), json!(run.engine));
    fields.insert("model_id".into(), json!(run.model()));
    fields.insert("num_prompts".into(), json!(run.all().len()));
    fields.insert("completed".into(), json!(completed));
    fields.insert("failed".into(), json!(failed));
    add_totals(&mut fields, run, completed);
    for (name, measure) in MEASURES {
        add_statistics(&mut fields, name, &run.measure(measure));
    }
    fields.extend(mean_gap_ms(run).map(|ms| ("mean_itl_ms".to_owned(), json!(ms))));
    fields.insert(
        "ttfts".into(),
        json!(run.measure(|row| ttft_ms(row).map(|ms| ms / 1e3))),
    );
    fields
}

/// Adds the options of the load. The tool itself writes `null` for no tokenizer, and for unlimited
/// concurrency.
fn add_load(fields: &mut Map<String, Value>, load: &RecordedLoad, pace: Pace) {
    let backend = match load.endpoint() {
        Endpoint::Chat => "openai-chat",
        Endpoint::Completions => "openai",
    };
    let (rate, burstiness) = match pace {
        Pace::Closed(_) | Pace::AtOnce => (Some(json!("inf")), None),
        Pace::Constant(rate) => (Some(json!(rate)), None),
        Pace::Poisson(rate) => (Some(json!(rate)), Some(json!(1.0))),
        Pace::Gamma(rate, shape) => (Some(json!(rate)), Some(json!(shape))),
        Pace::Other => (None, None),
    };
    let concurrency = match pace {
        Pace::Closed(concurrency) => Some(concurrency),
        _ => None,
    };
    for (name, value) in [
        ("date", load.started_unix_s.and_then(date).map(Value::from)),
        ("endpoint_type", Some(backend.into())),
        ("backend", Some(backend.into())),
        ("tokenizer_id", Some(json!(load.tokenizer()))),
        ("request_rate", rate),
        ("burstiness", burstiness),
        ("max_concurrency", Some(json!(concurrency))),
    ] {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }
}

/// A date in the tool's format.
fn date(unix_s: i64) -> Option<String> {
    let moment = jiff::Timestamp::from_second(unix_s).ok()?;
    Some(moment.strftime("%Y%m%d-%H%M%S").to_string())
}

/// The mean of the gaps of all answers together.
fn mean_gap_ms(run: &Run) -> Option<f64> {
    let of_answer = |row: &Row| Some((row.icl_mean_s?, row.chunks.checked_sub(1)? as f64));
    let means: Vec<(f64, f64)> = run.ok().filter_map(of_answer).collect();
    let gaps: f64 = means.iter().map(|(_, gaps)| gaps).sum();
    let sum_s: f64 = means.iter().map(|(mean_s, gaps)| mean_s * gaps).sum();
    (gaps > 0.0).then(|| sum_s / gaps * 1e3)
}

const MEASURES: [(&str, Measure); 3] = [("ttft", ttft_ms), ("tpot", tpot_ms), ("e2el", e2el_ms)];

/// To the first event with a choice, be it only the role.
fn ttft_ms(row: &Row) -> Option<f64> {
    Some((row.first_chunk_s? - row.sent_s?) * 1e3)
}

fn e2el_ms(row: &Row) -> Option<f64> {
    Some((row.last_token_s? - row.sent_s?) * 1e3)
}

/// Of answers with more than one token.
fn tpot_ms(row: &Row) -> Option<f64> {
    let gaps = row.output_tokens?.checked_sub(1).filter(|gaps| *gaps > 0)?;
    Some((e2el_ms(row)? - ttft_ms(row)?) / gaps as f64)
}

fn add_totals(fields: &mut Map<String, Value>, run: &Run, completed: usize) {
    let output = run.tokens(|row| row.output_tokens);
    let input = run.tokens(|row| row.prompt_tokens);
    let duration_s = duration_s(run);
    let rate =
        |count: Option<f64>| Some(count? / duration_s.filter(|duration_s| *duration_s > 0.0)?);
    let (output_f, input_f) = (output.map(|n| n as f64), input.map(|n| n as f64));
    let all = output_f.zip(input_f).map(|(output, input)| output + input);
    for (name, value) in [
        ("duration", duration_s.map(Value::from)),
        ("total_input_tokens", input.map(Value::from)),
        ("total_output_tokens", output.map(Value::from)),
        (
            "request_throughput",
            rate(Some(completed as f64)).map(Value::from),
        ),
        ("output_throughput", rate(output_f).map(Value::from)),
        ("total_token_throughput", rate(all).map(Value::from)),
        (
            "input_lens",
            input.map(|_| run.ok().map(|row| row.prompt_tokens).collect()),
        ),
        (
            "output_lens",
            output.map(|_| run.ok().map(|row| row.output_tokens).collect()),
        ),
    ] {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }
}

/// From the first request that was sent until all have ended, also those that failed.
fn duration_s(run: &Run) -> Option<f64> {
    let end_s = run
        .all()
        .iter()
        .filter_map(|row| row.ended_s)
        .reduce(f64::max)?;
    Some(end_s - run.first_sent_s()?)
}

fn add_statistics(fields: &mut Map<String, Value>, name: &str, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    for (statistic, value) in [
        ("mean", Some(mean(values))),
        ("median", linear(values, 50.0)),
        ("std", Some(std(values))),
        ("p99", linear(values, 99.0)),
    ] {
        fields.insert(format!("{statistic}_{name}_ms"), json!(value));
    }
}
