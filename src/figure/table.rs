//! A figure as text: for those who do not see it, and those who want the numbers.

use super::description::LEAST_FOR_TAILS;
use super::distribution::{quantile, sorted};
use super::text::number;
use super::{Axis, Figure, Kind, Series, Shape};

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What the columns are called.
    pub head: Vec<String>,
    /// As many cells each.
    pub rows: Vec<Vec<String>>,
}

/// More values than this are told by their percentiles.
const MOST_ROWS: usize = 24;

impl Figure {
    /// Its numbers; where they are very many, what they are like.
    pub fn table(&self) -> Table {
        let all: Option<Vec<_>> = self.series.iter().map(pairs).collect();
        match all {
            Some(all) if all.iter().all(|pairs| pairs.len() <= MOST_ROWS) => self.values(&all),
            _ => self.summary(),
        }
    }

    fn values(&self, all: &[Vec<(f64, f64)>]) -> Table {
        let places = sorted(all.iter().flatten().map(|pair| pair.0).collect());
        let mut rows = Vec::new();
        for (i, x) in places
            .iter()
            .enumerate()
            .filter(|(i, x)| *i == 0 || places[i - 1] < **x)
        {
            let _ = i;
            let cell = |pairs: &Vec<(f64, f64)>| {
                let found = pairs.iter().find(|pair| pair.0.total_cmp(x).is_eq());
                found.map_or_else(|| "–".into(), |pair| self.y.tell(pair.1))
            };
            rows.push(
                [self.x.tell(*x)]
                    .into_iter()
                    .chain(all.iter().map(cell))
                    .collect(),
            );
        }
        let unit = if self.y.unit.is_empty() {
            String::new()
        } else {
            format!(", {}", self.y.unit)
        };
        let names = self
            .series
            .iter()
            .map(|series| format!("{}{unit}", series.name));
        Table {
            head: [self.x.label()].into_iter().chain(names).collect(),
            rows,
        }
    }

    fn summary(&self) -> Table {
        let boxes = |series: &Series| matches!(series.shape, Shape::Boxes(_));
        if self.series.iter().any(boxes) {
            return self.boxes();
        }
        let (axis, head) = match self.series.first().map(|series| &series.shape) {
            Some(Shape::Curve(_) | Shape::Spans(..)) if self.y.kind != Kind::Linear => {
                (&self.x, "of")
            }
            _ => (&self.y, "of"),
        };
        let title = format!("{} {head}", axis.label());
        let head = [&title, "least", "p25", "median", "p75", "p95", "most"]
            .map(str::to_owned)
            .into();
        let row = |series: &Series| {
            let values = sorted(series.lengths(std::ptr::eq(axis, &raw const self.x)));
            let at = |p| quantile(&values, p).map_or_else(|| "–".into(), number);
            let p95 = if values.len() < LEAST_FOR_TAILS {
                "–".into()
            } else {
                at(0.95)
            };
            let cells = [at(0.0), at(0.25), at(0.5), at(0.75), p95, at(1.0)];
            [series.name.clone()].into_iter().chain(cells).collect()
        };
        Table {
            head,
            rows: self.series.iter().map(row).collect(),
        }
    }

    fn boxes(&self) -> Table {
        let names = [
            "series",
            &self.x.name,
            "least",
            "p5",
            "p25",
            "median",
            "p75",
            "p95",
            "greatest",
        ];
        let mut rows = Vec::new();
        for series in &self.series {
            let Shape::Boxes(boxes) = &series.shape else {
                continue;
            };
            for five in boxes {
                let [low, q1, median, q3, high] = five.at.map(number);
                let none = || "–".to_owned();
                let [least, p5, p95, greatest] = if five.has_tails() {
                    [none(), low, high, none()]
                } else {
                    [low, none(), none(), high]
                };
                let place = self.x.tell(five.x);
                let row = [
                    series.name.clone(),
                    place,
                    least,
                    p5,
                    q1,
                    median,
                    q3,
                    p95,
                    greatest,
                ];
                rows.push(row.into());
            }
        }
        Table {
            head: names.map(str::to_owned).into(),
            rows,
        }
    }
}

/// The places and values of a series that has one for each.
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
    /// What the summary is of: lengths along one axis.
    fn lengths(&self, along_x: bool) -> Vec<f64> {
        match &self.shape {
            Shape::Line(points) | Shape::Points(points) => {
                points.iter().map(|point| point.y).collect()
            }
            Shape::Curve(points) if along_x => points.iter().map(|point| point.0).collect(),
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
    /// A value in words.
    pub(super) fn tell(&self, value: f64) -> String {
        match &self.kind {
            Kind::Named(names) => names.get(value as usize).cloned().unwrap_or_default(),
            Kind::Whole | Kind::Down => format!("{value:.0}"),
            Kind::Share => format!("{:.0} %", value * 100.0),
            Kind::Linear | Kind::Near | Kind::Log => number(value),
        }
    }
}
