//! The description of a figure.

use super::distribution::condense;
use crate::stats::{Distribution, least_n};

/// The maximum number of points of a line. A line with more points becomes a band.
const MOST_POINTS: usize = 400;

/// A figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its id in the page, of letters, digits and `-`.
    pub id: String,
    /// The title above the figure.
    pub title: String,
    /// A prominent word, such as `simulated`.
    pub tag: Option<String>,
    /// An explanation for the reader.
    pub note: String,
    /// The horizontal axis, from left to right.
    pub x: Axis,
    /// The vertical axis, from bottom to top.
    pub y: Axis,
    /// The data, drawn in this order.
    pub series: Vec<Series>,
}

impl Figure {
    /// Returns the figure with INVALID in its title and `reasons` in its note, if there are any.
    #[must_use]
    pub fn invalid(mut self, reasons: &str) -> Self {
        if !reasons.is_empty() {
            self.title = format!("INVALID: {}", self.title);
            self.note = format!("{reasons}. {}", self.note).trim_end().into();
        }
        self
    }
}

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The name of the measure.
    pub name: String,
    /// The unit of the values; empty for a number without a unit.
    pub unit: &'static str,
    /// The positions of values on the axis.
    pub kind: Kind,
}

/// The positions of values on an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Linear, from 0.
    Linear,
    /// Linear, from about the smallest value.
    Near,
    /// Linear, with labels at whole numbers only.
    Whole,
    /// Linear from 0 to 1, with labels in percent.
    Share,
    /// Logarithmic.
    Log,
    /// Whole numbers from top to bottom.
    Down,
    /// Value `i` is the `i`th name.
    Named(Vec<String>),
}

impl Axis {
    /// Returns an axis for `name`, in `unit`.
    pub fn new(name: impl Into<String>, unit: &'static str, kind: Kind) -> Self {
        Self {
            name: name.into(),
            unit,
            kind,
        }
    }

    /// The name of the axis with its unit.
    pub fn label(&self) -> String {
        if self.unit.is_empty() {
            self.name.clone()
        } else {
            format!("{} ({})", self.name, self.unit)
        }
    }
}

/// Data of one color.
#[derive(Clone, Debug)]
pub struct Series {
    /// The name in the legend.
    pub name: String,
    /// The color.
    pub ink: Ink,
    /// The data and its form.
    pub shape: Shape,
}

/// A color, with its own marker and dash, so that a figure can be read without colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ink {
    /// A color for an engine.
    Engine(usize),
    /// A gray.
    Neutral(usize),
}

/// A point of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The position on the horizontal axis.
    pub x: f64,
    /// The value.
    pub y: f64,
    /// The target of its link: a fragment of the page, without `#`.
    pub link: Option<String>,
}

/// The percentiles of a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FiveNumbers {
    /// The position on the other axis.
    pub x: f64,
    /// The percentiles 5, 25, 50, 75 and 95. The outer two are minimum and maximum if the
    /// distribution [has no tails](FiveNumbers::has_tails).
    pub at: [f64; 5],
    /// The number of values.
    pub count: usize,
}

/// A bar of a timeline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The row of the bar.
    pub row: f64,
    /// The start.
    pub from: f64,
    /// The end.
    pub to: f64,
    /// The index of its phase.
    pub phase: usize,
}

/// The data of a series and its form.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Points joined by a line.
    Line(Vec<Point>),
    /// Separate points.
    Points(Vec<Point>),
    /// A line without markers.
    Curve(Vec<(f64, f64)>),
    /// A median with bands, for many points.
    Band(Vec<FiveNumbers>),
    /// Bars next to those of the other series.
    Bars(Vec<(f64, f64)>),
    /// Boxes next to those of the other series.
    Boxes(Vec<FiveNumbers>),
    /// A timeline, with the names of its phases.
    Spans(Vec<String>, Vec<Span>),
}

impl Series {
    /// Returns a line through points, or a band if there are too many points to tell apart.
    pub fn line(name: &str, ink: Ink, mut points: Vec<Point>) -> Self {
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        let shape = if points.len() > MOST_POINTS {
            Shape::Band(condense(&points))
        } else {
            Shape::Line(points)
        };
        Self {
            name: name.into(),
            ink,
            shape,
        }
    }

    /// Returns the cumulative distribution: the share of values up to `x`.
    pub fn cdf(name: &str, ink: Ink, values: &Distribution) -> Self {
        const STEPS: usize = 200;
        let steps = STEPS.min(values.count().saturating_sub(1)).max(1);
        let mut curve = Vec::new();
        for step in 0..=steps {
            let share = step as f64 / steps as f64;
            if let Some(value) = values.percentile(share * 100.0) {
                curve.push((value, share));
            }
        }
        Self {
            name: name.into(),
            ink,
            shape: Shape::Curve(curve),
        }
    }

    /// Returns true if the series has no data.
    pub fn is_empty(&self) -> bool {
        match &self.shape {
            Shape::Line(points) | Shape::Points(points) => points.is_empty(),
            Shape::Curve(points) | Shape::Bars(points) => points.is_empty(),
            Shape::Band(boxes) | Shape::Boxes(boxes) => boxes.is_empty(),
            Shape::Spans(_, spans) => spans.is_empty(),
        }
    }
}

impl FiveNumbers {
    /// Computes the numbers of `values`; `None` without values.
    pub fn from_values(x: f64, values: &Distribution) -> Option<Self> {
        let count = values.count();
        let [low, high] = if count < least_n(95.0) {
            [0.0, 100.0]
        } else {
            [5.0, 95.0]
        };
        let mut at = [0.0; 5];
        for (number, p) in at.iter_mut().zip([low, 25.0, 50.0, 75.0, high]) {
            *number = values.percentile(p)?;
        }
        Some(Self { x, at, count })
    }

    /// Returns true if the outer two numbers are the 5th and the 95th percentile.
    pub fn has_tails(&self) -> bool {
        self.count >= least_n(95.0)
    }
}
