//! What a figure shows.

use super::distribution::{condense, quantile, sorted};

/// More points than this in a line become a band.
pub(super) const MOST_POINTS: usize = 400;
/// The number of values that a 5th and a 95th percentile need: with fewer, all may lie between them.
pub const LEAST_FOR_TAILS: usize = 72;

/// A figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its name in the page, of letters, digits and `-`.
    pub id: String,
    /// What stands above it.
    pub title: String,
    /// A word that nobody may overlook, such as `simulated`.
    pub tag: Option<String>,
    /// What a reader must know to read it right.
    pub note: String,
    /// Left to right.
    pub x: Axis,
    /// Bottom to top.
    pub y: Axis,
    /// What is drawn, the last on top.
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
    /// What it measures.
    pub name: String,
    /// In which unit; empty for a number without one.
    pub unit: &'static str,
    /// How values lie on it.
    pub kind: Kind,
}

/// How values lie on an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Evenly, from 0.
    Linear,
    /// Evenly, from about the least value.
    Near,
    /// Evenly, and only whole numbers have a label.
    Whole,
    /// From 0 to 1, shown as per cent.
    Share,
    /// By their logarithm.
    Log,
    /// Whole numbers from the top down.
    Down,
    /// Value `i` is the `i`th name.
    Named(Vec<String>),
}

impl Axis {
    /// An axis for `name`, in `unit`.
    pub fn new(name: impl Into<String>, unit: &'static str, kind: Kind) -> Self {
        Self {
            name: name.into(),
            unit,
            kind,
        }
    }

    /// Its name with its unit.
    pub fn label(&self) -> String {
        if self.unit.is_empty() {
            self.name.clone()
        } else {
            format!("{} ({})", self.name, self.unit)
        }
    }
}

/// Something drawn in one colour.
#[derive(Clone, Debug)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// Its colour.
    pub ink: Ink,
    /// Its form.
    pub shape: Shape,
}

/// A colour, with a marker and a dash of its own, so that nobody needs to see the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ink {
    /// One of those for engines.
    Engine(usize),
    /// A grey.
    Neutral(usize),
}

/// A point of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Where.
    pub x: f64,
    /// How much.
    pub y: f64,
    /// What it leads to: a fragment of the page, without `#`.
    pub link: Option<String>,
}

/// A distribution in short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FiveNumbers {
    /// Where it lies on the other axis.
    pub x: f64,
    /// The percentiles 5, 25, 50, 75, 95; the least and the greatest value in place of the outer two if
    /// it [has no tails](FiveNumbers::has_tails).
    pub at: [f64; 5],
    /// The number of values.
    pub count: usize,
}

/// A bar of a timeline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// On which line it lies.
    pub row: f64,
    /// Its start.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// Which of the phases it is.
    pub phase: usize,
}

/// The form of a series.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Points joined by a line.
    Line(Vec<Point>),
    /// Points that no line joins.
    Points(Vec<Point>),
    /// A line without markers.
    Curve(Vec<(f64, f64)>),
    /// A median with bands around it, in place of very many points.
    Band(Vec<FiveNumbers>),
    /// Bars beside those of the other series.
    Bars(Vec<(f64, f64)>),
    /// Boxes beside those of the other series.
    Boxes(Vec<FiveNumbers>),
    /// A timeline, with what its phases are called.
    Spans(Vec<String>, Vec<Span>),
}

impl Series {
    /// A line through points; a band where they are too many to tell apart.
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

    /// The share of values that are at most `x`.
    pub fn cdf(name: &str, ink: Ink, values: Vec<f64>) -> Self {
        const STEPS: usize = 200;
        let values = sorted(values);
        let steps = STEPS.min(values.len().saturating_sub(1)).max(1);
        let at = |step: usize| step as f64 / steps as f64;
        let curve = (0..=steps)
            .filter_map(|step| Some((quantile(&values, at(step))?, at(step))))
            .collect();
        Self {
            name: name.into(),
            ink,
            shape: Shape::Curve(curve),
        }
    }

    /// Whether there is nothing to draw.
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
    /// The numbers of `values`; `None` if there are no values.
    pub fn of(x: f64, values: Vec<f64>) -> Option<Self> {
        let values = sorted(values);
        let count = values.len();
        quantile(&values, 0.5)?; // where there is one, there are all
        let [low, high] = if count < LEAST_FOR_TAILS {
            [0.0, 1.0]
        } else {
            [0.05, 0.95]
        };
        let at = [low, 0.25, 0.5, 0.75, high].map(|p| quantile(&values, p).unwrap_or_default());
        Some(Self { x, at, count })
    }

    /// Returns true if the outer two are the 5th and the 95th percentile.
    pub fn has_tails(&self) -> bool {
        self.count >= LEAST_FOR_TAILS
    }
}
