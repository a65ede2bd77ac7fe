//! The facts, the summary, the failures and the figures of a test.

use crate::core::{Distribution, Row, Tail};
use crate::driver::secrets::scrub;
use crate::figure::{Figure, number};
use crate::report::aggregate::{cached_share, failed};
use crate::report::figures::{EngineInks, FigureMaker};
use crate::report::test_results::{EngineRows, ExperimentRows, TestResults};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The text of a value that is missing.
const EMPTY: &str = "–";

/// A table.
#[derive(Serialize)]
pub(super) struct Grid {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Names and values.
pub(super) type TestFacts = Vec<(&'static str, String)>;

/// Figures under a heading.
pub(crate) struct FigureGroup {
    /// The heading.
    pub(crate) title: String,
    /// The figures.
    pub(crate) figures: Vec<Figure>,
}

/// Returns all figures of a test, in the order of the page and of the PDF.
pub(crate) fn figure_groups(
    test: &TestResults,
    number: usize,
    inks: &EngineInks,
) -> Vec<FigureGroup> {
    let maker = FigureMaker { test, number, inks };
    let mut groups = vec![FigureGroup {
        title: "All experiments".into(),
        figures: maker.comparison(),
    }];
    for (at, experiment) in test.experiments.iter().enumerate() {
        groups.push(FigureGroup {
            title: with_mark(experiment, &experiment.title),
            figures: maker.experiment(at),
        });
    }
    groups.retain(|group| !group.figures.is_empty());
    groups
}

/// Returns `text`, preceded by INVALID if the experiment is invalid.
pub(super) fn with_mark(experiment: &ExperimentRows, text: &str) -> String {
    if experiment.invalid.is_empty() {
        text.to_owned()
    } else {
        format!("INVALID: {text}")
    }
}

/// Returns the command, the script and the machine of a test.
pub(super) fn test_facts(test: &TestResults) -> TestFacts {
    let mut facts = vec![("results", test.csv.display().to_string())];
    let Some(manifest) = &test.manifest else {
        facts.push(("manifest", "none beside the file".into()));
        return facts;
    };
    for (name, key) in [
        ("command", "argv"),
        ("script", "script"),
        ("seed", "seed"),
        ("GPUs", "gpus"),
        ("lmrun", "lmrun"),
        ("run", "run_id"),
    ] {
        let fact = manifest.get(key).map_or_else(String::new, fact_text);
        if !fact.is_empty() {
            facts.push((name, scrub(&fact)));
        }
    }
    let started_s = manifest.get("started_unix_s").and_then(Value::as_i64);
    let started = started_s.and_then(|s| jiff::Timestamp::from_second(s).ok());
    facts.extend(started.map(|moment| ("started", moment.to_string())));
    facts
}

fn fact_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            texts.join(" ")
        }
        other => other.to_string(),
    }
}

/// Returns a line for each engine of each experiment.
pub(super) fn summary(test: &TestResults) -> Grid {
    let head = [
        "experiment",
        "engine",
        "ok",
        "failed",
        "TTFT p50 s",
        "p99",
        "TPOT p50 s",
        "latency p50 s",
        "p99",
        "decode tokens/s p50",
        "cached",
        "send lag p99 ms",
    ];
    let mut rows = Vec::new();
    for experiment in &test.experiments {
        for engine in &experiment.engines {
            rows.push(summary_line(experiment, engine));
        }
    }
    Grid {
        head: head.map(str::to_owned).into(),
        rows,
    }
}

fn summary_line(experiment: &ExperimentRows, engine: &EngineRows) -> Vec<String> {
    let ttft = distribution(engine, |row| row.ttft);
    let latency = distribution(engine, |row| row.latency);
    let send_lag_ms = distribution(engine, |row| row.send_lag_s.map(|lag_s| lag_s * 1e3));
    let failed = failed(&engine.rows);
    let cached = cached_share(&engine.rows);
    vec![
        with_mark(experiment, &experiment.title),
        engine.label(),
        (engine.rows.len() - failed).to_string(),
        failed.to_string(),
        median(&ttft),
        tail(&ttft),
        median(&distribution(engine, |row| row.tpot_s)),
        median(&latency),
        tail(&latency),
        median(&distribution(engine, |row| row.throughput)),
        cached.map_or_else(|| EMPTY.into(), |share| format!("{:.0} %", share * 100.0)),
        tail(&send_lag_ms),
    ]
}

fn distribution(engine: &EngineRows, measure: fn(&Row) -> Option<f64>) -> Distribution {
    engine.rows.iter().filter_map(measure).collect()
}

fn median(values: &Distribution) -> String {
    let median = values.percentile(50.0);
    median.map_or_else(|| EMPTY.into(), number)
}

fn tail(values: &Distribution) -> String {
    let tail = values.percentile_or_max(99.0);
    tail.map_or_else(|| EMPTY.into(), |tail: Tail| tail.text(number))
}

/// Returns the engine, the number and the reason of the failures.
pub(super) fn failures(test: &TestResults) -> Vec<(String, usize, String)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for row in test.rows().filter(|row| !row.is_ok()) {
        let reason = row.error.as_deref().unwrap_or("no reason was recorded");
        *counts.entry((&row.engine, reason)).or_default() += 1;
    }
    let mut failures = Vec::new();
    for ((engine, reason), count) in counts {
        failures.push((engine.to_owned(), count, reason.to_owned()));
    }
    failures
}
