//! Tables for people.

use crate::core::{Distribution, EngineResult, ExperimentResult, Outcome, Row, least_n};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table};
use console::measure_text_width;

/// A row of the table of an experiment.
struct Line {
    head: &'static str,
    decimals: usize,
    value: Value,
}

/// The value of each engine in a row.
enum Value {
    Of(fn(&EngineResult) -> Option<f64>),
    /// The median of a measure: it has a ratio between engines.
    Median(fn(&Row) -> Option<f64>),
    /// The 99th percentile of a measure.
    P99(fn(&Row) -> Option<f64>),
}

const LINES: [Line; 9] = [
    line(
        "ok",
        0,
        Value::Of(|engine| Some((engine.rows.len() - engine.failed()) as f64)),
    ),
    line(
        "failed",
        0,
        Value::Of(|engine| Some(engine.failed() as f64)),
    ),
    line("TTFT p50 s", 3, Value::Median(|row| row.ttft)),
    line("TTFT p99 s", 3, Value::P99(|row| row.ttft)),
    line("latency p50 s", 3, Value::Median(|row| row.latency)),
    line("latency p99 s", 3, Value::P99(|row| row.latency)),
    line(
        "decode tokens/s p50",
        1,
        Value::Median(|row| row.throughput),
    ),
    line(
        "cached %",
        0,
        Value::Of(|engine| engine.cached_share().map(|share| share * 100.0)),
    ),
    line(
        "send lag p99 ms",
        2,
        Value::P99(|row| row.send_lag_s.map(|lag_s| lag_s * 1e3)),
    ),
];

const fn line(head: &'static str, decimals: usize, value: Value) -> Line {
    Line {
        head,
        decimals,
        value,
    }
}

/// A row as it is shown.
struct Shown {
    head: String,
    /// A cell for each engine.
    cells: Vec<String>,
    /// The ratio of each further engine to the first; empty cells if it is not a median.
    ratios: Vec<String>,
}

impl Line {
    fn shown(&self, engines: &[EngineResult]) -> Shown {
        let all =
            |measure: fn(&Row) -> Option<f64>| engines.iter().map(move |e| e.distribution(measure));
        let (head, values): (String, Vec<Option<f64>>) = match self.value {
            Value::Of(value) => (self.head.into(), engines.iter().map(value).collect()),
            Value::Median(measure) => (
                self.head.into(),
                all(measure).map(|seen| seen.percentile(50.0)).collect(),
            ),
            Value::P99(measure) => self.tails(&all(measure).collect::<Vec<_>>()),
        };
        let ratio =
            |other: &Option<f64>| Some((*other)? / values[0].filter(|first| *first != 0.0)?);
        let ratios = values.iter().skip(1).map(|other| match self.value {
            Value::Median(_) => number(ratio(other), 2),
            _ => String::new(),
        });
        Shown {
            head,
            ratios: ratios.collect(),
            cells: values
                .iter()
                .map(|value| number(*value, self.decimals))
                .collect(),
        }
    }

    /// The 99th percentiles; the maxima of all engines if one has too few values, as a percentile cannot be
    /// compared with a maximum.
    fn tails(&self, seen: &[Distribution]) -> (String, Vec<Option<f64>>) {
        let counts = || {
            seen.iter()
                .map(Distribution::count)
                .filter(|count| *count > 0)
        };
        let (least, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
        if most == 0 || least >= least_n(99.0) {
            return (
                self.head.into(),
                seen.iter().map(|seen| seen.percentile(99.0)).collect(),
            );
        }
        let range = if least == most {
            least.to_string()
        } else {
            format!("{least}-{most}")
        };
        let head = self.head.replace("p99", &format!("max of {range}"));
        (head, seen.iter().map(Distribution::max).collect())
    }

    fn is_median(&self) -> bool {
        matches!(self.value, Value::Median(_))
    }
}

/// The engines of an experiment side by side, and the ratio of each one's medians to the first's;
/// in a separate table if the width asks for it. The reasons are above it if the experiment is invalid.
pub fn experiment(seen: &ExperimentResult, width: Option<u16>) -> String {
    let table = engines(seen, width);
    if seen.validity.is_valid() {
        table
    } else {
        format!("{}\n{table}", seen.validity)
    }
}

fn engines(seen: &ExperimentResult, width: Option<u16>) -> String {
    let names: Vec<String> = seen.engines.iter().map(EngineResult::label).collect();
    let first = seen.engines.first().map_or("", |engine| &*engine.name);
    let pairs: Vec<String> = seen
        .engines
        .iter()
        .skip(1)
        .map(|other| format!("{} / {first}", other.name))
        .collect();
    let rows: Vec<Shown> = LINES.iter().map(|line| line.shown(&seen.engines)).collect();
    let both = rows
        .iter()
        .map(|row| (&row.head, [&row.cells[..], &row.ratios].concat()));
    let whole = grid(&[&names[..], &pairs].concat(), both);
    let fits = |width: u16| {
        whole
            .lines()
            .all(|line| measure_text_width(line) <= width.into())
    };
    if width.is_none_or(fits) || pairs.is_empty() {
        return whole;
    }
    let values = grid(
        &names,
        rows.iter().map(|row| (&row.head, row.cells.clone())),
    );
    let medians = rows.iter().zip(&LINES).filter(|(_, line)| line.is_median());
    let ratios = grid(
        &pairs,
        medians.map(|(row, _)| (&row.head, row.ratios.clone())),
    );
    [values, ratios].join("\n")
}

fn grid<'a>(heads: &[String], rows: impl Iterator<Item = (&'a String, Vec<String>)>) -> String {
    let mut table = new_table(&[&[String::new()], heads].concat(), None);
    for (head, cells) in rows {
        table.add_row(std::iter::once(head.clone()).chain(cells));
    }
    table.trim_fmt()
}

/// The result of one test of a run.
#[derive(Clone, Debug)]
pub struct TestLine {
    /// The test function.
    pub test: String,
    /// The outcome.
    pub outcome: Outcome,
    /// The number of checks that passed.
    pub passed_checks: usize,
    /// The number of checks that failed.
    pub failed_checks: usize,
    /// The time that it took, seconds.
    pub took_s: f64,
}

impl TestLine {
    /// Returns true if the test checked nothing.
    pub fn has_no_check(&self) -> bool {
        self.passed_checks + self.failed_checks == 0
    }
}

/// All tests of a run.
pub fn run(lines: &[TestLine], width: Option<u16>) -> String {
    let mut table = new_table(
        &["test", "result", "checks passed", "failed", "time s"].map(String::from),
        width,
    );
    for line in lines {
        let result = match &line.outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Failed { summary, .. } => format!("FAILED: {}", cut(summary)),
        };
        let counts = [line.passed_checks, line.failed_checks].map(|count| count.to_string());
        let [passed, failed] = counts;
        table.add_row([
            line.test.clone(),
            result,
            passed,
            failed,
            format!("{:.1}", line.took_s),
        ]);
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
    table
        .load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_header(header);
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
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
    use crate::core::{Reason, ReasonCode, Validity};

    fn engine(name: &str, ttfts: &[Option<f64>]) -> EngineResult {
        let row = |ttft: &Option<f64>| Row {
            ttft: *ttft,
            latency: ttft.map(|ttft| ttft + 1.0),
            error: ttft.is_none().then(|| "HTTP 503".into()),
            ..Row::default()
        };
        EngineResult::new(
            name.into(),
            name == "plain",
            ttfts.iter().map(row).collect(),
        )
    }

    fn seen() -> ExperimentResult {
        let engines = vec![
            engine("lmcache", &[Some(0.1), Some(0.2), Some(0.3)]),
            engine("plain", &[Some(0.5), None, Some(0.7)]),
            engine("none", &[None, None, None]),
        ];
        ExperimentResult {
            engines,
            ..ExperimentResult::default()
        }
    }

    #[test]
    fn engines_stand_side_by_side_with_the_ratios_of_their_medians() {
        insta::assert_snapshot!(experiment(&seen(), None));
    }

    #[test]
    fn p99_is_shown_of_368_requests_and_the_max_of_fewer() {
        let ttfts = |count: u32| (1..=count).map(|i| Some(f64::from(i))).collect::<Vec<_>>();
        let table = |counts: [u32; 2]| {
            let engines = counts.map(|count| engine("e", &ttfts(count))).to_vec();
            let seen = ExperimentResult {
                engines,
                ..ExperimentResult::default()
            };
            let table = experiment(&seen, None);
            let row = table
                .lines()
                .find(|line| line.contains("TTFT") && !line.contains("p50"));
            row.expect("the row")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(table([368, 368]), "TTFT p99 s 364.330 364.330");
        assert_eq!(table([368, 10]), "TTFT max of 10-368 s 368.000 10.000");
        assert_eq!(table([10, 10]), "TTFT max of 10 s 10.000 10.000");
        assert_eq!(table([0, 368]), "TTFT p99 s - 364.330");
    }

    #[test]
    fn a_narrow_terminal_gets_a_narrow_table() {
        let table = experiment(&seen(), Some(60));
        assert!(
            table
                .lines()
                .all(|line| console::measure_text_width(line) <= 60),
            "{table}"
        );
        insta::assert_snapshot!(table);
    }

    #[test]
    fn the_table_of_an_invalid_experiment_is_marked() {
        let reasons = vec![Reason::new(ReasonCode::Cpu, "no time left".into())];
        let invalid = ExperimentResult {
            validity: Validity { reasons }.into(),
            ..seen()
        };
        let table = experiment(&invalid, None);
        assert_eq!(
            table.split_once('\n'),
            Some(("INVALID: no time left", &*experiment(&seen(), None)))
        );
    }
}
