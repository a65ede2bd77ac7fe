//! A figure as a table, for readers who cannot see it and for exact numbers.

use super::text::number;
use super::{Axis, Figure, Kind, Series, Shape};
use crate::stats::{Distribution, least_n};

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FigureTable {
    /// The names of the columns.
    pub(crate) head: Vec<String>,
    /// The rows, with one cell per column.
    pub(crate) rows: Vec<Vec<String>>,
}

/// The maximum number of rows. A table of more values has their percentiles.
const MOST_ROWS: usize = 24;

/// The text of an empty cell.
const EMPTY: &str = "–";

/// The direction in which the values of a series are measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Along {
    X,
    Y,
}

impl Figure {
    /// Returns the numbers of the figure, or their percentiles if there are many.
    pub(crate) fn table(&self) -> FigureTable {
        let pairs: Option<Vec<_>> = self.series.iter().map(pairs).collect();
        match pairs {
            Some(pairs) if pairs.iter().all(|pairs| pairs.len() <= MOST_ROWS) => {
                self.value_table(&pairs)
            }
            _ if self.has_boxes() => self.box_table(),
            _ => self.percentile_table(),
        }
    }

    fn has_boxes(&self) -> bool {
        self.series
            .iter()
            .any(|series| matches!(series.shape, Shape::Boxes(_)))
    }

    fn value_table(&self, series: &[Vec<(f64, f64)>]) -> FigureTable {
        let all = series.iter().flatten().map(|pair| pair.0);
        let mut places = all.collect::<Distribution>().values().to_vec();
        places.dedup();
        let mut rows = Vec::new();
        for x in places {
            let mut row = vec![self.x.format(x)];
            for pairs in series {
                let pair = pairs.iter().find(|pair| pair.0.total_cmp(&x).is_eq());
                row.push(pair.map_or_else(|| EMPTY.into(), |pair| self.y.format(pair.1)));
            }
            rows.push(row);
        }
        let mut head = vec![self.x.label()];
        for series in &self.series {
            head.push(if self.y.unit.is_empty() {
                series.name.clone()
            } else {
                format!("{}, {}", series.name, self.y.unit)
            });
        }
        FigureTable { head, rows }
    }

    fn percentile_table(&self) -> FigureTable {
        let first = self.series.first().map(|series| &series.shape);
        let (axis, along) = match first {
            Some(Shape::Curve(_) | Shape::Spans(..)) if self.y.kind != Kind::Linear => {
                (&self.x, Along::X)
            }
            _ => (&self.y, Along::Y),
        };
        let title = axis.label();
        let head = [&title, "min", "p25", "median", "p75", "p95", "max"];
        let mut rows = Vec::new();
        for series in &self.series {
            let values: Distribution = series.values(along).into_iter().collect();
            let mut row = vec![series.name.clone()];
            for p in [0.0, 25.0, 50.0, 75.0, 95.0, 100.0] {
                row.push(values.percentile(p).map_or_else(|| EMPTY.into(), number));
            }
            if values.count() < least_n(95.0) {
                row[5] = EMPTY.into();
            }
            rows.push(row);
        }
        FigureTable {
            head: head.map(str::to_owned).into(),
            rows,
        }
    }

    fn box_table(&self) -> FigureTable {
        let head = [
            "series",
            &self.x.name,
            "min",
            "p5",
            "p25",
            "median",
            "p75",
            "p95",
            "max",
        ];
        let mut rows = Vec::new();
        for series in &self.series {
            let Shape::Boxes(boxes) = &series.shape else {
                continue;
            };
            for five in boxes {
                let [low, q1, median, q3, high] = five.at.map(number);
                let empty = EMPTY.to_owned();
                let [min, p5, p95, max] = if five.has_tails() {
                    [empty.clone(), low, high, empty]
                } else {
                    [low, empty.clone(), empty, high]
                };
                let place = self.x.format(five.x);
                let row = [
                    series.name.clone(),
                    place,
                    min,
                    p5,
                    q1,
                    median,
                    q3,
                    p95,
                    max,
                ];
                rows.push(row.into());
            }
        }
        FigureTable {
            head: head.map(str::to_owned).into(),
            rows,
        }
    }
}

/// Returns the positions and values of a series with one value per position.
fn pairs(series: &Series) -> Option<Vec<(f64, f64)>> {
    match &series.shape {
        Shape::Line(points) | Shape::Points(points) => {
            Some(points.iter().map(|point| (point.x, point.y)).collect())
        }
        Shape::Bars(bars) => Some(bars.clone()),
        _ => None,
    }
}

impl Series {
    /// Returns the values for percentiles. Those of a timeline are the durations of its spans.
    fn values(&self, along: Along) -> Vec<f64> {
        match &self.shape {
            Shape::Line(points) | Shape::Points(points) => {
                points.iter().map(|point| point.y).collect()
            }
            Shape::Curve(points) if along == Along::X => {
                points.iter().map(|point| point.0).collect()
            }
            Shape::Curve(points) | Shape::Bars(points) => {
                points.iter().map(|point| point.1).collect()
            }
            Shape::Band(boxes) | Shape::Boxes(boxes) => {
                boxes.iter().map(|five| five.at[2]).collect()
            }
            Shape::Spans(_, spans) => spans.iter().map(|span| span.to - span.from).collect(),
        }
    }
}

impl Axis {
    /// Formats a value.
    pub(crate) fn format(&self, value: f64) -> String {
        match &self.kind {
            Kind::Named(names) => names.get(value as usize).cloned().unwrap_or_default(),
            Kind::Whole | Kind::Down => format!("{value:.0}"),
            Kind::Share => format!("{:.0} %", value * 100.0),
            Kind::Linear | Kind::Near | Kind::Log => number(value),
        }
    }
}
