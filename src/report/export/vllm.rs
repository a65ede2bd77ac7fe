//! The result file of `vllm bench serve`.

use super::run::Run;
use super::sample::{Measure, linear, mean, std};
use crate::bench::results::Record;
use serde_json::{Map, Value, json};

/// What is left out, or is not what the tool has.
pub const REMARKS: &[(&str, &str)] = &[
    ("itl, itls", "left out: a row has no list of gaps"),
    ("max_output_tokens_per_s, max_concurrent_requests", "left out: they count chunks of every second"),
    ("e2el, tpot", "end at the last output; the tool's at the last event with a choice, which may be empty"),
    ("errors, generated_texts, start_times", "left out: failed requests would need entries of 0"),
];

/// What it writes.
pub fn fields(run: &Run) -> Map<String, Value> {
    let (completed, failed) = run.counts();
    let mut fields = Map::new();
    fields.insert("label".into(), json!(run.engine));
    fields.insert("model_id".into(), json!(run.model()));
    fields.insert("num_prompts".into(), json!(run.all().len()));
    fields.insert("completed".into(), json!(completed));
    fields.insert("failed".into(), json!(failed));
    add_totals(&mut fields, run, completed);
    for (name, measure) in MEASURES {
        add_statistics(&mut fields, name, &run.measure(measure));
    }
    fields.insert("ttfts".into(), json!(run.measure(|record| ttft_ms(record).map(|ms| ms / 1e3))));
    fields
}

const MEASURES: [(&str, Measure); 3] = [("ttft", ttft_ms), ("tpot", tpot_ms), ("e2el", e2el_ms)];

/// To the first event with a choice, be it only the role.
fn ttft_ms(record: &Record) -> Option<f64> {
    Some((record.first_chunk_s? - record.sent_s?) * 1e3)
}

fn e2el_ms(record: &Record) -> Option<f64> {
    Some((record.last_token_s? - record.sent_s?) * 1e3)
}

/// Of answers with more than one token.
fn tpot_ms(record: &Record) -> Option<f64> {
    let gaps = record.output_tokens?.checked_sub(1).filter(|gaps| *gaps > 0)?;
    Some((e2el_ms(record)? - ttft_ms(record)?) / gaps as f64)
}

fn add_totals(fields: &mut Map<String, Value>, run: &Run, completed: usize) {
    let output = run.tokens(|record| record.output_tokens);
    let input = run.tokens(|record| record.prompt_tokens);
    let duration_s = duration_s(run);
    let rate = |count: Option<f64>| Some(count? / duration_s.filter(|duration_s| *duration_s > 0.0)?);
    let (output_f, input_f) = (output.map(|n| n as f64), input.map(|n| n as f64));
    let all = output_f.zip(input_f).map(|(output, input)| output + input);
    for (name, value) in [
        ("duration", duration_s.map(Value::from)),
        ("total_input_tokens", input.map(Value::from)),
        ("total_output_tokens", output.map(Value::from)),
        ("request_throughput", rate(Some(completed as f64)).map(Value::from)),
        ("output_throughput", rate(output_f).map(Value::from)),
        ("total_token_throughput", rate(all).map(Value::from)),
        ("input_lens", input.map(|_| run.ok().map(|record| record.prompt_tokens).collect())),
        ("output_lens", output.map(|_| run.ok().map(|record| record.output_tokens).collect())),
    ] {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }
}

/// From the first request that was sent until all have ended, also those that failed.
fn duration_s(run: &Run) -> Option<f64> {
    // CSVs of earlier versions have no `ended_s`.
    let last = |record: &Record| record.done_s.or(record.last_token_s).or(record.headers_s).or(record.sent_s);
    let end = |record: &Record| record.ended_s.or_else(|| last(record));
    let end_s = run.all().iter().filter_map(end).reduce(f64::max)?;
    Some(end_s - run.first_sent_s()?)
}

fn add_statistics(fields: &mut Map<String, Value>, name: &str, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    for (statistic, value) in [
        ("mean", Some(mean(values))),
        ("median", linear(values, 50.0)),
        ("std", Some(std(values, 0))),
        ("p99", linear(values, 99.0)),
    ] {
        fields.insert(format!("{statistic}_{name}_ms"), json!(value));
    }
}
