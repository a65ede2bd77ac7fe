//! Tables for people.

use crate::bench::{Distribution, EngineSeen, Outcome, Seen};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use std::path::PathBuf;

/// The engines of an experiment side by side.
pub fn experiment(seen: &Seen) -> String {
    let mut table = new_table(&[
        "engine",
        "ok",
        "failed",
        "TTFT p50 s",
        "p99",
        "latency p50 s",
        "p99",
        "tokens/s p50",
        "cached",
        "send lag p99 ms",
    ]);
    for engine in &seen.engines {
        table.add_row(cells(engine));
    }
    table.to_string()
}

fn cells(engine: &EngineSeen) -> Vec<String> {
    let ttft = engine.distribution(|row| row.ttft);
    let latency = engine.distribution(|row| row.latency);
    let throughput = engine.distribution(|row| row.throughput);
    let lag = engine.distribution(|row| row.send_lag_s);
    let failed = engine.failed();
    vec![
        label(engine),
        (engine.rows.len() - failed).to_string(),
        failed.to_string(),
        seconds(&ttft, 50.0),
        seconds(&ttft, 99.0),
        seconds(&latency, 50.0),
        seconds(&latency, 99.0),
        number(throughput.percentile(50.0), 1),
        engine.cached_share().map_or_else(|| "-".into(), |share| format!("{:.0} %", share * 100.0)),
        number(lag.percentile(99.0).map(|lag| lag * 1e3), 2),
    ]
}

/// A simulated number never passes for a real one.
fn label(engine: &EngineSeen) -> String {
    if engine.simulated { format!("{} (simulated)", engine.name) } else { engine.name.to_string() }
}

/// How one test of a run ended.
#[derive(Clone, Debug)]
pub struct TestLine {
    /// The test function.
    pub test: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, seconds.
    pub took_s: f64,
    /// Its CSV, where it measured something.
    pub csv: Option<PathBuf>,
}

/// All tests of a run.
pub fn run(lines: &[TestLine]) -> String {
    let mut table = new_table(&["test", "result", "time s", "rows in"]);
    for line in lines {
        let result = match &line.outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Failed { summary, .. } => format!("FAILED: {}", cut(summary)),
        };
        let csv = line.csv.as_ref().map_or_else(|| "-".into(), |path| path.display().to_string());
        table.add_row([line.test.clone(), result, format!("{:.1}", line.took_s), csv]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Left);
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Left);
    }
    table.to_string()
}

/// The start of a text: the whole of it stands above the table.
fn cut(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// An empty table.
pub fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn seconds(values: &Distribution, p: f64) -> String {
    number(values.percentile(p), 3)
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.decimals$}"))
}
