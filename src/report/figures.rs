//! The figures of the results of a test.

use super::aggregate::{Amount, RequestTimes, cached_share, failed, rate_over_time, spans};
use super::test_results::{EngineRows, ExperimentRows, TestResults};
use crate::core::{Row, least_n};
use crate::figure::{Axis, Figure, FiveNumbers, Ink, Kind, Point, Series, Shape};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The color of each engine, the same in all figures.
pub(crate) struct EngineInks(Vec<Arc<str>>);

impl EngineInks {
    /// Gives the engines colors in the order of their first occurrence.
    pub(crate) fn new(tests: &[TestResults]) -> Self {
        let mut names: Vec<Arc<str>> = Vec::new();
        let experiments = tests.iter().flat_map(|test| &test.experiments);
        for engine in experiments.flat_map(|experiment| &experiment.engines) {
            if !names.contains(&engine.name) {
                names.push(engine.name.clone());
            }
        }
        Self(names)
    }

    fn place(&self, name: &str) -> usize {
        let place = self.0.iter().position(|known| &**known == name);
        place.unwrap_or_default()
    }
}

/// A measure of a request, with its names in figures.
#[derive(Clone, Copy)]
struct RowMeasure {
    /// The name in titles.
    title: &'static str,
    /// The name at axes.
    name: &'static str,
    unit: &'static str,
    value: fn(&Row) -> Option<f64>,
}

const TTFT: RowMeasure = RowMeasure {
    title: "TTFT",
    name: "TTFT",
    unit: "s",
    value: |row| row.ttft,
};
const THROUGHPUT: RowMeasure = RowMeasure {
    title: "Decode throughput by request",
    name: "throughput",
    unit: "tokens/s",
    value: |row| row.throughput,
};
const SEND_LAG: RowMeasure = RowMeasure {
    title: "Send lag",
    name: "send lag",
    unit: "ms",
    value: |row| row.send_lag_s.map(|lag_s| lag_s * 1e3),
};
/// The measures that have figures of their distribution.
const DISTRIBUTIONS: [RowMeasure; 3] = [
    TTFT,
    RowMeasure {
        title: "TPOT",
        name: "TPOT",
        unit: "s",
        value: tpot_s,
    },
    RowMeasure {
        title: "Mean ITL",
        name: "mean ITL",
        unit: "s",
        value: |row| row.itl_mean_s,
    },
];

/// Returns the time per output token, seconds. It follows from the throughput in rows of LMCache's
/// Python tests.
fn tpot_s(row: &Row) -> Option<f64> {
    let from_rate = row.throughput.filter(|rate| *rate > 0.0).map(f64::recip);
    row.tpot_s.or(from_rate)
}

/// Makes the figures of one test.
pub(crate) struct FigureMaker<'a> {
    /// The results.
    pub(crate) test: &'a TestResults,
    /// The number of the test in the report.
    pub(crate) number: usize,
    /// The colors.
    pub(crate) inks: &'a EngineInks,
}

impl FigureMaker<'_> {
    /// Returns the figures of the experiment at the place `at`.
    pub(crate) fn experiment(&self, at: usize) -> Vec<Figure> {
        let mut figures = vec![self.by_request(at, TTFT), self.by_request(at, THROUGHPUT)];
        figures.extend(DISTRIBUTIONS.map(|measure| self.cdf(at, measure)));
        figures.push(self.timeline(at));
        figures.push(self.rate(at));
        drawable(figures, &self.test.experiments[at].mark())
    }

    /// Returns the figures that compare experiments.
    pub(crate) fn comparison(&self) -> Vec<Figure> {
        let mut figures = vec![self.memory()];
        figures.extend(DISTRIBUTIONS.map(|measure| self.boxes(measure)));
        figures.push(self.boxes(SEND_LAG));
        figures.push(self.cached_share());
        figures.push(self.failures());
        drawable(figures, &self.test.mark())
    }

    fn id(&self, id: &str) -> String {
        format!("s{}-{}", self.number, id.replace(' ', "-"))
    }

    fn tag(&self) -> Option<String> {
        self.test.is_simulated().then(|| "simulated".to_owned())
    }

    fn per_engine(&self, at: usize, shape: impl Fn(&[Row]) -> Shape) -> Vec<Series> {
        let mut series = Vec::new();
        for engine in &self.test.experiments[at].engines {
            series.push(Series {
                shape: shape(&engine.rows),
                ..self.empty_series(engine)
            });
        }
        series
    }

    fn empty_series(&self, engine: &EngineRows) -> Series {
        Series {
            name: engine.label(),
            ink: Ink::Engine(self.inks.place(&engine.name)),
            shape: Shape::Curve(Vec::new()),
        }
    }

    fn by_request(&self, at: usize, measure: RowMeasure) -> Figure {
        let experiment = &self.test.experiments[at];
        let mut series = Vec::new();
        for engine in &experiment.engines {
            let mut points = Vec::new();
            for row in &engine.rows {
                points.extend((measure.value)(row).map(|y| Point {
                    x: row.request_id as f64,
                    y,
                    link: Some(format!("r{}-{}", self.number, row.line)),
                }));
            }
            let ink = self.empty_series(engine).ink;
            series.push(Series::line(&engine.label(), ink, points));
        }
        let mut note = String::new();
        let is_dense = |series: &Series| matches!(series.shape, Shape::Band(_));
        if series.iter().any(is_dense) {
            note = format!(
                "Line: median of neighbours; bands: 25th to 75th and 5th to 95th percentile{}.",
                note_on_tails()
            );
        }
        Figure {
            id: self.id(&format!("e{at}-{}", measure.name)),
            title: format!("{}, {}", measure.title, experiment.context()),
            tag: self.tag(),
            note,
            x: Axis::new("request", "", Kind::Whole),
            y: Axis::new(measure.name, measure.unit, Kind::Linear),
            series,
        }
    }

    fn cdf(&self, at: usize, measure: RowMeasure) -> Figure {
        let experiment = &self.test.experiments[at];
        let mut series = Vec::new();
        for engine in &experiment.engines {
            let values = engine.rows.iter().filter_map(measure.value).collect();
            let ink = self.empty_series(engine).ink;
            series.push(Series::cdf(&engine.label(), ink, &values));
        }
        Figure {
            id: self.id(&format!("e{at}-cdf-{}", measure.name)),
            title: format!("{}: distribution, {}", measure.title, experiment.context()),
            tag: self.tag(),
            note: format!("The share of requests with at most this {}.", measure.name),
            x: Axis::new(measure.name, measure.unit, Kind::Near),
            y: Axis::new("share of requests", "", Kind::Share),
            series,
        }
    }

    /// The phases of each request, or the requests in flight if they are too many for a line each.
    fn timeline(&self, at: usize) -> Figure {
        const MOST: usize = 100;
        let experiment = &self.test.experiments[at];
        if experiment.rows().count() > MOST {
            return self.in_flight(at);
        }
        let phases = ["until sent", "until the first token", "decode"].map(str::to_owned);
        let mut series = self.per_engine(at, |rows| Shape::Spans(phases.to_vec(), spans(rows)));
        let count = series.len().max(1) as f64;
        for (place, series) in series.iter_mut().enumerate() {
            if let Shape::Spans(_, spans) = &mut series.shape {
                for span in spans {
                    span.row += (place as f64 + 0.5) / count - 0.5;
                }
            }
        }
        Figure {
            id: self.id(&format!("e{at}-timeline")),
            title: format!("Timeline, {}", experiment.context()),
            tag: self.tag(),
            note: "From the planned time until it was sent (the client's queue), until the first \
                   token (the engine's queue and prefill), and decode. Requests from the top, the \
                   engines beside each other."
                .into(),
            x: Axis::new("time", "s", Kind::Linear),
            y: Axis::new("request", "", Kind::Down),
            series,
        }
    }

    fn in_flight(&self, at: usize) -> Figure {
        let series = self.per_engine(at, |rows| {
            let times = rows.iter().filter_map(RequestTimes::from_row);
            Shape::Curve(rate_over_time(times.map(|times| Amount {
                from_s: times.sent_s,
                to_s: times.last_token_s,
                value: times.last_token_s - times.sent_s,
            })))
        });
        Figure {
            id: self.id(&format!("e{at}-flight")),
            title: format!("In flight, {}", self.test.experiments[at].context()),
            tag: self.tag(),
            note: String::new(),
            x: Axis::new("time", "s", Kind::Linear),
            y: Axis::new("requests in flight", "", Kind::Linear),
            series,
        }
    }

    fn rate(&self, at: usize) -> Figure {
        let series = self.per_engine(at, |rows| {
            let times = rows.iter().filter_map(RequestTimes::from_row);
            Shape::Curve(rate_over_time(times.map(|times| Amount {
                from_s: times.first_token_s,
                to_s: times.last_token_s,
                value: times.tokens,
            })))
        });
        Figure {
            id: self.id(&format!("e{at}-rate")),
            title: format!(
                "Throughput over time, {}",
                self.test.experiments[at].context()
            ),
            tag: self.tag(),
            note: "All requests of an engine together; the tokens of each request are spread \
                   evenly over its decode."
                .into(),
            x: Axis::new("time", "s", Kind::Linear),
            y: Axis::new("output", "tokens/s", Kind::Linear),
            series,
        }
    }

    fn experiment_axis(&self) -> Axis {
        let experiments = self.test.experiments.iter();
        let names = experiments.map(|e| e.short.clone()).collect();
        Axis::new("experiment: context", "tokens", Kind::Named(names))
    }

    /// Returns a series for each engine, with a value for each experiment that has one.
    fn over_experiments<T>(
        &self,
        value: impl Fn(usize, &[Row]) -> Option<T>,
        shape: impl Fn(Vec<T>) -> Shape,
    ) -> Vec<Series> {
        let mut engines: BTreeMap<usize, (Series, Vec<T>)> = BTreeMap::new();
        for (at, experiment) in self.test.experiments.iter().enumerate() {
            for engine in &experiment.engines {
                let (_, values) = engines
                    .entry(self.inks.place(&engine.name))
                    .or_insert_with(|| (self.empty_series(engine), Vec::new()));
                values.extend(value(at, &engine.rows));
            }
        }
        let mut all = Vec::new();
        for (series, values) in engines.into_values() {
            all.push(Series {
                shape: shape(values),
                ..series
            });
        }
        all
    }

    fn boxes(&self, measure: RowMeasure) -> Figure {
        let series = self.over_experiments(
            |at, rows| {
                let values = rows.iter().filter_map(measure.value).collect();
                FiveNumbers::from_values(at as f64, &values)
            },
            Shape::Boxes,
        );
        Figure {
            id: self.id(&format!("box-{}", measure.name)),
            title: format!("{} by experiment", measure.title),
            tag: self.tag(),
            note: format!(
                "Box: 25th, 50th and 75th percentile; whiskers: 5th and 95th{}.",
                note_on_tails()
            ),
            x: self.experiment_axis(),
            y: Axis::new(measure.name, measure.unit, Kind::Linear),
            series,
        }
    }

    fn cached_share(&self) -> Figure {
        Figure {
            id: self.id("cached"),
            title: "Cached share of the prompt tokens".into(),
            tag: self.tag(),
            note: String::new(),
            x: self.experiment_axis(),
            y: Axis::new("cached", "", Kind::Share),
            series: self.over_experiments(
                |at, rows| cached_share(rows).map(|share| (at as f64, share)),
                Shape::Bars,
            ),
        }
    }

    /// Has no series if all requests succeeded: the page says so in a sentence.
    fn failures(&self) -> Figure {
        let mut series = self.over_experiments(
            |at, rows| Some((at as f64, failed(rows) as f64)),
            Shape::Bars,
        );
        if self.test.rows().all(Row::is_ok) {
            series.clear();
        }
        Figure {
            id: self.id("failed requests"),
            title: "Requests that failed".into(),
            tag: self.tag(),
            note: String::new(),
            x: self.experiment_axis(),
            y: Axis::new("failed requests", "", Kind::Linear),
            series,
        }
    }

    fn memory(&self) -> Figure {
        let mut gpus: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (at, experiment) in self.test.experiments.iter().enumerate() {
            for (gpu, mib) in memory_at_end(experiment) {
                gpus.entry(gpu).or_default().push((at as f64, mib / 1024.0));
            }
        }
        let mut series = Vec::new();
        for (i, (name, bars)) in gpus.into_iter().enumerate() {
            series.push(Series {
                name,
                ink: Ink::Neutral(i),
                shape: Shape::Bars(bars),
            });
        }
        Figure {
            id: self.id("memory"),
            title: "GPU memory by experiment".into(),
            tag: self.tag(),
            note: String::new(),
            x: self.experiment_axis(),
            y: Axis::new("used", "GiB", Kind::Linear),
            series,
        }
    }
}

impl ExperimentRows {
    fn context(&self) -> String {
        match self.title.split_once(": ") {
            Some((_, context)) => context.replace("context of ", ""),
            None => self.title.clone(),
        }
    }
}

/// Returns the MiB used on each GPU at the end of an experiment, by the last row of each engine: a
/// row has only the GPUs of its engine.
fn memory_at_end(experiment: &ExperimentRows) -> BTreeMap<String, f64> {
    let mut last = Vec::new();
    for engine in &experiment.engines {
        last.extend(engine.rows.iter().max_by_key(|row| row.line));
    }
    last.sort_by_key(|row| row.line);
    last.into_iter().filter_map(Row::gpus).flatten().collect()
}

/// Returns the end of a note on 5th and 95th percentiles.
fn note_on_tails() -> String {
    format!(
        "; of fewer than {} values the least and the greatest",
        least_n(95.0)
    )
}

/// Returns the figures with data, without their empty series, and marked by the reasons why their
/// numbers are invalid.
fn drawable(figures: Vec<Figure>, reasons: &str) -> Vec<Figure> {
    let mut drawable = Vec::new();
    for mut figure in figures {
        figure.series.retain(|series| !series.is_empty());
        if !figure.series.is_empty() {
            drawable.push(figure.invalid(reasons));
        }
    }
    drawable
}
