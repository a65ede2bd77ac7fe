//! A drawing of a figure: its title, legend and axes. The marks are in another module.

use super::palette::LIGHT;
use super::scale::Scale;
use super::text::{cut, escape, width};
use super::{Figure, Kind, Series, Shape};
use std::fmt::Write;
use std::ops::Range;

/// The width of a drawing in its own units. It is readable from 340 pixels on.
pub(crate) const WIDTH: f64 = 440.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 428.0;
/// The height between the axes' ends.
const PLOT: f64 = 190.0;
/// The fonts, in order of preference.
pub(crate) const FONTS: &str =
    "system-ui,-apple-system,Segoe UI,Roboto,Helvetica Neue,Arial,DejaVu Sans,sans-serif";

/// Draws a figure for a page with [`super::page_css`]. Its points are links.
pub(crate) fn inline_svg(figure: &Figure) -> String {
    let id = &figure.id;
    let title = escape(&figure.title);
    let description = escape(&figure.describe());
    let head = format!(
        " role=\"group\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{title}</title>\
         <desc id=\"{id}-d\">{description}</desc>"
    );
    let mut drawing = Drawing::new(figure);
    drawing.has_links = true;
    drawing.draw(&head)
}

/// Draws a figure with its own colors, for paper. Also returns its height.
pub(crate) fn standalone_svg(figure: &Figure) -> (String, f64) {
    let css = LIGHT.css();
    let head = format!("><style>{css}</style><rect width=\"100%\" height=\"100%\" class=\"fg\"/>");
    let drawing = Drawing::new(figure);
    let height = drawing.height();
    (drawing.draw(&head), height)
}

impl Figure {
    /// Describes the figure in a sentence.
    fn describe(&self) -> String {
        let names: Vec<&str> = self
            .series
            .iter()
            .map(|series| series.name.as_str())
            .collect();
        let tag = match &self.tag {
            Some(tag) => format!(" {tag}."),
            None => String::new(),
        };
        format!(
            "{} over {}, for {}.{tag} {}",
            self.y.label(),
            self.x.label(),
            names.join(", "),
            self.note
        )
    }
}

/// A figure that is being drawn.
pub(crate) struct Drawing<'a> {
    pub(crate) svg: String,
    pub(crate) figure: &'a Figure,
    legend: Vec<LegendEntry<'a>>,
    pub(crate) x: Scale,
    pub(crate) y: Scale,
    /// The position of the top of the vertical axis.
    top: f64,
    /// The position of the horizontal axis.
    pub(crate) bottom: f64,
    /// True if points are links.
    pub(crate) has_links: bool,
}

/// An entry of the legend, with its position.
struct LegendEntry<'a> {
    name: String,
    sample: Sample<'a>,
    x: f64,
    y: f64,
}

#[derive(Clone, Copy)]
enum Sample<'a> {
    Series(&'a Series),
    Phase(usize),
}

impl<'a> Drawing<'a> {
    fn new(figure: &'a Figure) -> Self {
        let legend = legend(figure);
        let top = legend.last().map_or(LEGEND_Y, |entry| entry.y) + 34.0;
        let bottom = top + PLOT;
        let (xs, ys) = extent(&figure.series);
        let vertical = match figure.y.kind {
            Kind::Down => [top, bottom],
            _ => [bottom, top],
        };
        Self {
            svg: String::new(),
            figure,
            legend,
            x: Scale::new(&figure.x, xs, [LEFT, RIGHT]),
            y: Scale::new(&figure.y, ys, vertical),
            top,
            bottom,
            has_links: false,
        }
    }

    fn height(&self) -> f64 {
        self.bottom + 38.0
    }

    fn draw(mut self, head: &str) -> String {
        let height = self.height();
        let _ = write!(
            self.svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             width=\"{WIDTH}\" height=\"{height:.0}\" font-family=\"{FONTS}\" \
             font-size=\"11.5\"{head}"
        );
        self.title();
        self.legend();
        self.axes();
        self.marks();
        self.svg + "</svg>"
    }

    fn title(&mut self) {
        let tag = self.figure.tag.as_deref().unwrap_or_default();
        let room = if tag.is_empty() {
            0.0
        } else {
            width(tag, 10.0) + 16.0
        };
        let most = ((RIGHT - room - 8.0) / (13.5 * 0.58)) as usize;
        let text = escape(&cut(&self.figure.title, most));
        let _ = write!(
            self.svg,
            "<g aria-hidden=\"true\"><text x=\"2\" y=\"16\" class=\"ft\" font-size=\"13.5\" \
             font-weight=\"bold\">{text}</text>"
        );
        if !tag.is_empty() {
            let left = RIGHT - room;
            let middle = left + room / 2.0;
            let tag = escape(tag);
            let _ = write!(
                self.svg,
                "<rect x=\"{left:.1}\" y=\"3.5\" width=\"{room:.1}\" height=\"17\" rx=\"8.5\" \
                 fill=\"none\" class=\"stag\"/><text x=\"{middle:.1}\" y=\"15.5\" \
                 text-anchor=\"middle\" font-size=\"10\" font-weight=\"bold\" \
                 class=\"ftag\">{tag}</text>"
            );
        }
        self.svg.push_str("</g>");
    }

    fn legend(&mut self) {
        self.svg.push_str("<g aria-hidden=\"true\">");
        for entry in std::mem::take(&mut self.legend) {
            match entry.sample {
                Sample::Series(series) => self.sample(series, entry.x, entry.y - 4.0),
                Sample::Phase(phase) => self.phase_sample(phase, entry.x, entry.y - 4.0),
            }
            let _ = write!(
                self.svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" class=\"ft\">{}</text>",
                entry.x + 24.0,
                entry.y,
                escape(&entry.name)
            );
        }
        self.svg.push_str("</g>");
    }

    fn axes(&mut self) {
        let bottom = self.bottom;
        self.svg.push_str("<g aria-hidden=\"true\" class=\"fm\">");
        for (at, text) in self.y.ticks(5) {
            let _ = write!(
                self.svg,
                "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" class=\"sg\"/><text x=\"{}\" y=\"{:.1}\" \
                 text-anchor=\"end\" class=\"fm\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                escape(&text)
            );
        }
        for (at, text) in self.x.ticks(6) {
            let _ = write!(
                self.svg,
                "<path d=\"M{at:.1} {bottom}v4\" class=\"sa\"/><text x=\"{at:.1}\" y=\"{:.1}\" \
                 text-anchor=\"middle\" class=\"fm\">{}</text>",
                bottom + 16.0,
                escape(&text)
            );
        }
        let _ = write!(
            self.svg,
            "<path d=\"M{LEFT} {bottom}H{RIGHT}\" class=\"sa\"/>\
             <text x=\"2\" y=\"{:.1}\" class=\"fm\">{}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" class=\"fm\">{}</text></g>",
            self.top - 8.0,
            escape(&self.figure.y.label()),
            f64::midpoint(LEFT, RIGHT),
            bottom + 32.0,
            escape(&self.figure.x.label())
        );
    }
}

/// The position of the first line of the legend.
const LEGEND_Y: f64 = 36.0;

/// Returns the entries of the legend: the series, then the phases of a timeline.
fn legend(figure: &Figure) -> Vec<LegendEntry<'_>> {
    let mut samples = Vec::new();
    for series in &figure.series {
        samples.push((series.name.as_str(), Sample::Series(series)));
    }
    let phases = figure.series.iter().find_map(|series| match &series.shape {
        Shape::Spans(phases, _) => Some(phases),
        _ => None,
    });
    for (i, phase) in phases.into_iter().flatten().enumerate() {
        samples.push((phase, Sample::Phase(i)));
    }
    let mut x = 2.0;
    let mut y = LEGEND_Y;
    let mut entries = Vec::new();
    for (name, sample) in samples {
        let name = cut(name, 44);
        let room = 24.0 + width(&name, 11.5) + 10.0;
        if x + room > RIGHT && x > 2.0 {
            x = 2.0;
            y += 17.0;
        }
        entries.push(LegendEntry { name, sample, x, y });
        x += room;
    }
    entries
}

/// The smallest and the largest value on both axes.
fn extent(series: &[Series]) -> (Range<f64>, Range<f64>) {
    let mut xs = Vec::new();
    let mut ys = Vec::new();
    for series in series {
        match &series.shape {
            Shape::Line(points) | Shape::Points(points) => {
                xs.extend(points.iter().map(|point| point.x));
                ys.extend(points.iter().map(|point| point.y));
            }
            Shape::Curve(points) | Shape::Bars(points) => {
                xs.extend(points.iter().map(|point| point.0));
                ys.extend(points.iter().map(|point| point.1));
            }
            Shape::Band(boxes) | Shape::Boxes(boxes) => {
                xs.extend(boxes.iter().map(|five| five.x));
                ys.extend(boxes.iter().flat_map(|five| [five.at[0], five.at[4]]));
            }
            Shape::Spans(_, spans) => {
                xs.extend(spans.iter().flat_map(|span| [span.from, span.to]));
                ys.extend(spans.iter().map(|span| span.row));
            }
        }
    }
    (range(&xs), range(&ys))
}

fn range(values: &[f64]) -> Range<f64> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low <= high { low..high } else { 0.0..1.0 }
}
