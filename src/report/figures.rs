//! Which figures a study has.

use super::amounts::{cached_share, failed, over_time, spans};
use super::study::{Experiment, Moments, Study};
use crate::core::result::{GpuMemory, Record};
use crate::core::{Distribution, least_n};
use crate::figure::{Axis, Figure, FiveNumbers, Ink, Kind, Point, Series, Shape};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The colour of each engine: the same wherever it is drawn.
pub struct Inks(Vec<Arc<str>>);

impl Inks {
    /// Engines in the order in which they are met.
    pub fn of(studies: &[Study]) -> Self {
        let mut names: Vec<Arc<str>> = Vec::new();
        for (name, _) in studies
            .iter()
            .flat_map(|study| &study.experiments)
            .flat_map(|e| &e.engines)
        {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Self(names)
    }

    fn ink(&self, name: &Arc<str>) -> Ink {
        Ink::Engine(
            self.0
                .iter()
                .position(|known| known == name)
                .unwrap_or_default(),
        )
    }
}

/// A measure of a request.
type Measure = fn(&Record) -> Option<f64>;

/// Those that are shown as distributions.
const DISTRIBUTIONS: [(&str, &str, Measure); 3] = [
    ("TTFT", "s", |record| record.ttft),
    ("TPOT", "s", |record| {
        record
            .tpot_s
            .or_else(|| record.throughput.filter(|r| *r > 0.0).map(|r| 1.0 / r))
    }),
    ("mean ITL", "s", |record| record.itl_mean_s),
];

/// Makes the figures of one study.
pub struct Maker<'a> {
    /// The study.
    pub study: &'a Study,
    /// Its number in the report.
    pub number: usize,
    /// The colours.
    pub inks: &'a Inks,
}

impl Maker<'_> {
    /// Those of one experiment.
    pub fn of_experiment(&self, at: usize) -> Vec<Figure> {
        let e = &self.study.experiments[at];
        let mut figures = vec![
            self.by_request(at, e, "TTFT", "s", |record| record.ttft),
            self.by_request(at, e, "throughput", "tokens/s", |record| record.throughput),
        ];
        figures.extend(
            DISTRIBUTIONS.map(|(name, unit, measure)| self.cdf(at, e, name, unit, measure)),
        );
        figures.push(self.timeline(at, e));
        figures.push(self.rate(at, e));
        figures
            .into_iter()
            .filter_map(drawable)
            .map(|figure| figure.invalid(&e.mark()))
            .collect()
    }

    /// Those that compare experiments.
    pub fn of_all(&self) -> Vec<Figure> {
        let mut figures = vec![self.memory()];
        figures.extend(DISTRIBUTIONS.map(|(name, unit, measure)| self.boxes(name, unit, measure)));
        figures.push(self.boxes("send lag", "ms", |record| {
            record.send_lag_s.map(|lag| lag * 1e3)
        }));
        figures.push(self.bars(
            "Cached share of the prompt tokens",
            "cached",
            Kind::Share,
            cached_share,
        ));
        let failures = self.bars(
            "Requests that failed",
            "failed requests",
            Kind::Linear,
            |records| Some(failed(records)),
        );
        figures.extend(Some(failures).filter(any_bar)); // the page says in words that none failed
        let mark = self.study.mark();
        figures
            .into_iter()
            .filter_map(drawable)
            .map(|figure| figure.invalid(&mark))
            .collect()
    }

    fn figure(&self, id: &str, title: String, x: Axis, y: Axis, series: Vec<Series>) -> Figure {
        let tag = self.study.is_simulated().then(|| "simulated".to_owned());
        let id = format!("s{}-{}", self.number, id.replace(' ', "-"));
        Figure {
            id,
            title,
            tag,
            note: String::new(),
            x,
            y,
            series,
        }
    }

    fn per_engine(
        &self,
        e: &Experiment,
        make: impl Fn(&str, Ink, &[Record]) -> Series,
    ) -> Vec<Series> {
        e.engines
            .iter()
            .map(|(name, records)| make(&label(name, records), self.inks.ink(name), records))
            .collect()
    }

    fn by_request(
        &self,
        at: usize,
        e: &Experiment,
        name: &str,
        unit: &'static str,
        measure: Measure,
    ) -> Figure {
        let series = self.per_engine(e, |label, ink, records| {
            let point = |record: &Record| {
                let link = Some(format!("r{}-{}", self.number, record.line));
                Some(Point {
                    x: record.request_id as f64,
                    y: measure(record)?,
                    link,
                })
            };
            Series::line(label, ink, records.iter().filter_map(point).collect())
        });
        let dense = series
            .iter()
            .any(|series| matches!(series.shape, Shape::Band(_)));
        let (x, y) = (
            Axis::new("request", "", Kind::Whole),
            Axis::new(name, unit, Kind::Linear),
        );
        let mut figure = self.figure(
            &format!("e{at}-{name}"),
            format!("{}, {}", title(name), e.context()),
            x,
            y,
            series,
        );
        if dense {
            figure.note = format!(
                "Line: median of neighbours; bands: 25th to 75th and 5th to 95th percentile{}.",
                of_few()
            );
        }
        figure
    }

    fn cdf(
        &self,
        at: usize,
        e: &Experiment,
        name: &str,
        unit: &'static str,
        measure: Measure,
    ) -> Figure {
        let series = self.per_engine(e, |label, ink, records| {
            let values: Distribution = records.iter().filter_map(measure).collect();
            let empty = Series {
                name: label.into(),
                ink,
                shape: Shape::Curve(Vec::new()),
            };
            if values.count() == 0 {
                empty
            } else {
                Series::cdf(label, ink, &values)
            }
        });
        let (x, y) = (
            Axis::new(name, unit, Kind::Near),
            Axis::new("share of requests", "", Kind::Share),
        );
        let mut figure = self.figure(
            &format!("e{at}-cdf-{name}"),
            format!("{}: distribution, {}", title(name), e.context()),
            x,
            y,
            series,
        );
        figure.note = format!("The share of requests with at most this {name}.");
        figure
    }

    fn timeline(&self, at: usize, e: &Experiment) -> Figure {
        const MOST: usize = 100;
        if e.records().count() > MOST {
            return self.in_flight(at, e);
        }
        let phases = ["until sent", "until the first token", "decode"].map(str::to_owned);
        let count = e.engines.len().max(1);
        let mut place = 0;
        let series = self.per_engine(e, |label, ink, records| Series {
            name: label.into(),
            ink,
            shape: Shape::Spans(phases.to_vec(), spans(records)),
        });
        let series = series.into_iter().map(|mut series| {
            if let Shape::Spans(_, spans) = &mut series.shape {
                for span in spans {
                    span.row += (f64::from(place) + 0.5) / count as f64 - 0.5;
                }
            }
            place += 1;
            series
        });
        let (x, y) = (
            Axis::new("time", "s", Kind::Linear),
            Axis::new("request", "", Kind::Down),
        );
        let mut figure = self.figure(
            &format!("e{at}-timeline"),
            format!("Timeline, {}", e.context()),
            x,
            y,
            series.collect(),
        );
        figure.note = "From the planned moment until it was sent (a client's queue), until the first token (the \
                       engine's queue and prefill), and decode. Requests from the top, the engines beside each other."
            .into();
        figure
    }

    /// Too many to give each a line: how many were under way.
    fn in_flight(&self, at: usize, e: &Experiment) -> Figure {
        let series = self.per_engine(e, |label, ink, records| {
            let moments = records.iter().filter_map(Moments::of);
            Series {
                name: label.into(),
                ink,
                shape: Shape::Curve(over_time(moments, |m| {
                    (m.at[1], m.at[3], m.at[3] - m.at[1])
                })),
            }
        });
        let (x, y) = (
            Axis::new("time", "s", Kind::Linear),
            Axis::new("requests under way", "", Kind::Linear),
        );
        self.figure(
            &format!("e{at}-flight"),
            format!("Under way, {}", e.context()),
            x,
            y,
            series,
        )
    }

    fn rate(&self, at: usize, e: &Experiment) -> Figure {
        let series = self.per_engine(e, |label, ink, records| {
            let moments = records.iter().filter_map(Moments::of);
            Series {
                name: label.into(),
                ink,
                shape: Shape::Curve(over_time(moments, |m| (m.at[2], m.at[3], m.tokens))),
            }
        });
        let (x, y) = (
            Axis::new("time", "s", Kind::Linear),
            Axis::new("output", "tokens/s", Kind::Linear),
        );
        let mut figure = self.figure(
            &format!("e{at}-rate"),
            format!("Throughput over time, {}", e.context()),
            x,
            y,
            series,
        );
        figure.note =
            "All requests of an engine together; the tokens of each spread evenly over its decode."
                .into();
        figure
    }

    fn names(&self) -> Axis {
        let names = self
            .study
            .experiments
            .iter()
            .map(|e| e.short.clone())
            .collect();
        Axis::new("experiment: context", "tokens", Kind::Named(names))
    }

    /// A series for each engine over all experiments.
    fn over_experiments<T>(
        &self,
        value: impl Fn(usize, &[Record]) -> Option<T>,
        shape: impl Fn(Vec<T>) -> Shape,
    ) -> Vec<Series> {
        let mut found: BTreeMap<usize, (String, Ink, Vec<T>)> = BTreeMap::new();
        for (at, e) in self.study.experiments.iter().enumerate() {
            for (name, records) in &e.engines {
                let ink = self.inks.ink(name);
                let Ink::Engine(place) = ink else { continue };
                let entry = found
                    .entry(place)
                    .or_insert_with(|| (label(name, records), ink, Vec::new()));
                entry.2.extend(value(at, records));
            }
        }
        found
            .into_values()
            .map(|(name, ink, values)| Series {
                name,
                ink,
                shape: shape(values),
            })
            .collect()
    }

    fn boxes(&self, name: &str, unit: &'static str, measure: Measure) -> Figure {
        let five = |at: usize, records: &[Record]| {
            FiveNumbers::from_values(at as f64, &records.iter().filter_map(measure).collect())
        };
        let series = self.over_experiments(five, Shape::Boxes);
        let y = Axis::new(name, unit, Kind::Linear);
        let mut figure = self.figure(
            &format!("box-{name}"),
            format!("{} by experiment", title(name)),
            self.names(),
            y,
            series,
        );
        figure.note = format!(
            "Box: 25th, 50th and 75th percentile; whiskers: 5th and 95th{}.",
            of_few()
        );
        figure
    }

    fn bars(
        &self,
        title: &str,
        name: &str,
        kind: Kind,
        value: fn(&[Record]) -> Option<f64>,
    ) -> Figure {
        let bar = |at: usize, records: &[Record]| Some((at as f64, value(records)?));
        let series = self.over_experiments(bar, Shape::Bars);
        self.figure(
            name,
            title.into(),
            self.names(),
            Axis::new(name, "", kind),
            series,
        )
    }

    fn memory(&self) -> Figure {
        let mut gpus: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (at, e) in self.study.experiments.iter().enumerate() {
            for (gpu, mib) in memory_at_end(e) {
                gpus.entry(gpu).or_default().push((at as f64, mib / 1024.0));
            }
        }
        let series = gpus.into_iter().enumerate();
        let series = series.map(|(i, (name, bars))| Series {
            name,
            ink: Ink::Neutral(i),
            shape: Shape::Bars(bars),
        });
        let y = Axis::new("used", "GiB", Kind::Linear);
        self.figure(
            "memory",
            "GPU memory by experiment".into(),
            self.names(),
            y,
            series.collect(),
        )
    }
}

impl Experiment {
    fn context(&self) -> String {
        self.title.split_once(": ").map_or_else(
            || self.title.clone(),
            |parts| parts.1.replace("context of ", ""),
        )
    }
}

/// MiB used on each GPU at the end of an experiment, by the last row of each engine: a row has only the GPUs
/// of its engine.
fn memory_at_end(e: &Experiment) -> GpuMemory {
    let mut last: Vec<&Record> = e
        .engines
        .iter()
        .filter_map(|(_, records)| records.iter().max_by_key(|record| record.line))
        .collect();
    last.sort_by_key(|record| record.line);
    last.into_iter()
        .filter_map(Record::gpus)
        .flatten()
        .collect()
}

/// The end of a note on 5th and 95th percentiles.
fn of_few() -> String {
    format!(
        "; of fewer than {} values the least and the greatest",
        least_n(95.0)
    )
}

/// Whether any of the bars has a height.
fn any_bar(figure: &Figure) -> bool {
    let high = |bars: &[(f64, f64)]| bars.iter().any(|bar| bar.1 > 0.0);
    figure
        .series
        .iter()
        .any(|series| matches!(&series.shape, Shape::Bars(bars) if high(bars)))
}

/// A figure without what has no values; `None` where nothing is left.
fn drawable(mut figure: Figure) -> Option<Figure> {
    figure.series.retain(|series| !series.is_empty());
    (!figure.series.is_empty()).then_some(figure)
}

/// A simulated number never passes for a real one.
pub fn label(name: &str, records: &[Record]) -> String {
    let simulated = records.iter().any(|record| record.simulated == Some(true));
    if simulated {
        format!("{name} (simulated)")
    } else {
        name.to_owned()
    }
}

fn title(name: &str) -> String {
    match name {
        "throughput" => "Decode throughput by request".into(),
        "send lag" => "Send lag".into(),
        "mean ITL" => "Mean ITL".into(),
        other => other.into(),
    }
}
