//! The table of requests.

use super::parts::with_mark;
use crate::core::Row;
use crate::figure::{escape, number};
use crate::report::test_results::{ExperimentRows, TestResults};
use std::fmt::Write;

/// The number of requests of a page up to which all are listed.
const MOST_ROWS: usize = 10_000;
/// The number of requests of a test that are listed on a page with more.
const SHOWN_ROWS: usize = 2_000;

/// Returns the rows of the table of requests and a note on them. `requests` is the number of
/// requests of the page.
pub(super) fn request_table(
    test_number: usize,
    test: &TestResults,
    requests: usize,
) -> (String, String) {
    let mut chosen: Vec<(&ExperimentRows, &Row)> = Vec::new();
    for experiment in &test.experiments {
        chosen.extend(experiment.rows().map(|row| (experiment, row)));
    }
    let count = chosen.len();
    let mut note = format!("All {count}; points of the figures lead here.");
    if requests > MOST_ROWS {
        chosen.sort_by(|a, b| slowness(b.1).total_cmp(&slowness(a.1)));
        chosen.truncate(SHOWN_ROWS);
        note = format!(
            "{} of {count}: those that failed, and the slowest to their first token. The CSV has \
             all.",
            chosen.len()
        );
    }
    let mut html = String::new();
    for (experiment, row) in chosen {
        let _ = writeln!(
            html,
            "<tr id=r{test_number}-{}>{}",
            row.line,
            cells(experiment, row)
        );
    }
    (html, note)
}

/// Returns the TTFT; infinite for a failed request.
fn slowness(row: &Row) -> f64 {
    row.ttft.filter(|_| row.is_ok()).unwrap_or(f64::INFINITY)
}

/// Returns the cells without end tags, as HTML allows: there may be thousands.
fn cells(experiment: &ExperimentRows, row: &Row) -> String {
    let short = experiment.short.split(':').next().unwrap_or_default();
    let status = if row.is_ok() {
        "ok".into()
    } else {
        format!("failed: {}", row.error.as_deref().unwrap_or_default())
    };
    let mut html = String::new();
    for cell in [
        with_mark(experiment, short),
        row.engine_label(),
        row.request_id.to_string(),
        status,
        number(row.planned_s.unwrap_or(row.timestamp)),
        row.ttft.map_or_else(String::new, number),
        row.latency.map_or_else(String::new, number),
        row.throughput.map_or_else(String::new, number),
        row.context_len.to_string(),
        count(row.cached_tokens),
        count(row.output_tokens),
    ] {
        html += "<td>";
        html += &escape(&cell);
    }
    html
}

fn count(tokens: Option<u64>) -> String {
    tokens.map_or_else(String::new, |tokens| tokens.to_string())
}
