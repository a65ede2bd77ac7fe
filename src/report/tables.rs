//! Tables for people.

use crate::bench::{EngineSeen, Outcome, Row, Seen};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table};
use console::measure_text_width;

/// What a row of the table of an experiment holds.
struct Line {
    head: &'static str,
    decimals: usize,
    value: fn(&EngineSeen) -> Option<f64>,
    /// Medians have a ratio between engines.
    is_median: bool,
}

const LINES: [Line; 9] = [
    line("ok", 0, |engine| Some((engine.rows.len() - engine.failed()) as f64)),
    line("failed", 0, |engine| Some(engine.failed() as f64)),
    median("TTFT p50 s", 3, |engine| at(engine, 50.0, |row| row.ttft)),
    line("TTFT p99 s", 3, |engine| at(engine, 99.0, |row| row.ttft)),
    median("latency p50 s", 3, |engine| at(engine, 50.0, |row| row.latency)),
    line("latency p99 s", 3, |engine| at(engine, 99.0, |row| row.latency)),
    median("tokens/s p50", 1, |engine| at(engine, 50.0, |row| row.throughput)),
    line("cached %", 0, |engine| engine.cached_share().map(|share| share * 100.0)),
    line("send lag p99 ms", 2, |engine| at(engine, 99.0, |row| row.send_lag_s).map(|lag_s| lag_s * 1e3)),
];

const fn line(head: &'static str, decimals: usize, value: fn(&EngineSeen) -> Option<f64>) -> Line {
    Line { head, decimals, value, is_median: false }
}

const fn median(head: &'static str, decimals: usize, value: fn(&EngineSeen) -> Option<f64>) -> Line {
    Line { is_median: true, ..line(head, decimals, value) }
}

fn at(engine: &EngineSeen, p: f64, measure: fn(&Row) -> Option<f64>) -> Option<f64> {
    engine.distribution(measure).percentile(p)
}

/// The engines of an experiment side by side, and the ratio of each one's medians to the first's;
/// in a table of their own where the width asks for it.
pub fn experiment(seen: &Seen, width: Option<u16>) -> String {
    let lines: Vec<&Line> = LINES.iter().collect();
    let medians: Vec<&Line> = LINES.iter().filter(|line| line.is_median).collect();
    let values = || seen.engines.iter().map(|engine| values(engine, &lines));
    let ratios = |lines: &[&Line]| -> Vec<Vec<String>> {
        let Some((first, others)) = seen.engines.split_first() else { return Vec::new() };
        others.iter().map(|other| ratios(first, other, lines)).collect()
    };
    let whole = side_by_side(&lines, &values().chain(ratios(&lines)).collect::<Vec<_>>());
    let fits = |width: u16| whole.lines().all(|line| measure_text_width(line) <= width.into());
    if width.is_none_or(fits) || seen.engines.len() < 2 {
        return whole;
    }
    let tables =
        [side_by_side(&lines, &values().collect::<Vec<_>>()), side_by_side(&medians, &ratios(&medians))];
    tables.join("\n")
}

/// A column of an engine's values below its name.
fn values(engine: &EngineSeen, lines: &[&Line]) -> Vec<String> {
    let cells = lines.iter().map(|line| number((line.value)(engine), line.decimals));
    std::iter::once(label(engine)).chain(cells).collect()
}

/// A column of the ratios of one engine's medians to the first's.
fn ratios(first: &EngineSeen, other: &EngineSeen, lines: &[&Line]) -> Vec<String> {
    let head = format!("{} / {}", other.name, first.name);
    let ratio = |line: &&Line| {
        let ratio = || Some((line.value)(other)? / (line.value)(first).filter(|value| *value != 0.0)?);
        if line.is_median { number(ratio(), 2) } else { String::new() }
    };
    std::iter::once(head).chain(lines.iter().map(ratio)).collect()
}

fn side_by_side(lines: &[&Line], columns: &[Vec<String>]) -> String {
    let head: Vec<String> = columns.iter().map(|column| column[0].clone()).collect();
    let mut table = new_table(&[&[String::new()], &head[..]].concat(), None);
    for (row, line) in lines.iter().enumerate() {
        let cells = columns.iter().map(|column| column[row + 1].clone());
        table.add_row(std::iter::once(line.head.to_owned()).chain(cells));
    }
    table.trim_fmt()
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
    /// How many of its checks passed.
    pub passed_checks: usize,
    /// How many did not.
    pub failed_checks: usize,
    /// How long it took, seconds.
    pub took_s: f64,
}

impl TestLine {
    /// Whether nothing was checked in it.
    pub fn has_no_check(&self) -> bool {
        self.passed_checks + self.failed_checks == 0
    }
}

/// All tests of a run.
pub fn run(lines: &[TestLine], width: Option<u16>) -> String {
    let mut table =
        new_table(&["test", "result", "checks passed", "failed", "time s"].map(String::from), width);
    for line in lines {
        let result = match &line.outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Failed { summary, .. } => format!("FAILED: {}", cut(summary)),
        };
        let counts = [line.passed_checks, line.failed_checks].map(|count| count.to_string());
        let [passed, failed] = counts;
        table.add_row([line.test.clone(), result, passed, failed, format!("{:.1}", line.took_s)]);
    }
    if let Some(column) = table.column_mut(1) {
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

/// An empty table, as wide as its texts or at most `width`: names to the left, numbers to the right.
pub fn new_table(header: &[String], width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none())).set_header(header);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::ClientSeen;
    use std::sync::Arc;

    fn engine(name: &str, ttfts: &[Option<f64>]) -> EngineSeen {
        let row = |ttft: &Option<f64>| Row {
            ttft: *ttft,
            latency: ttft.map(|ttft| ttft + 1.0),
            error: ttft.is_none().then(|| "HTTP 503".into()),
            ..Row::default()
        };
        EngineSeen {
            name: name.into(),
            simulated: name == "plain",
            rows: Arc::new(ttfts.iter().map(row).collect()),
        }
    }

    fn seen() -> Seen {
        let engines = vec![
            engine("lmcache", &[Some(0.1), Some(0.2), Some(0.3)]),
            engine("plain", &[Some(0.5), None, Some(0.7)]),
            engine("none", &[None, None, None]),
        ];
        Seen { expr_id: 0, title: String::new(), engines, client: ClientSeen::default() }
    }

    #[test]
    fn engines_stand_side_by_side_with_the_ratios_of_their_medians() {
        insta::assert_snapshot!(experiment(&seen(), None));
    }

    #[test]
    fn a_narrow_terminal_gets_a_narrow_table() {
        let table = experiment(&seen(), Some(60));
        assert!(table.lines().all(|line| console::measure_text_width(line) <= 60), "{table}");
        insta::assert_snapshot!(table);
    }
}
