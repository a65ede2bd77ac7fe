//! What a series looks like.

use super::scale::Scale;
use super::text::{escape, number};
use super::{Figure, FiveNumbers, Ink, Point, Series, Shape, Span};
use std::fmt::Write;

/// What is needed to draw a series.
pub struct Drawing<'a> {
    /// The whole.
    pub figure: &'a Figure,
    /// Left to right.
    pub x: &'a Scale,
    /// Bottom to top.
    pub y: &'a Scale,
    /// The place of the horizontal axis.
    pub bottom: f64,
    /// Whether points are links.
    pub linked: bool,
}

/// How dense the fill of each phase is.
const PHASES: [f64; 3] = [0.22, 0.5, 1.0];

/// Draws all series.
pub fn draw(svg: &mut String, drawing: &Drawing<'_>) {
    let count = drawing.figure.series.len();
    for (place, series) in drawing.figure.series.iter().enumerate() {
        match &series.shape {
            Shape::Line(points) => {
                path(
                    svg,
                    drawing,
                    series.ink,
                    points.iter().map(|point| (point.x, point.y)),
                );
                markers(svg, drawing, series, points, place == 0);
            }
            Shape::Points(points) => markers(svg, drawing, series, points, place == 0),
            Shape::Curve(points) => path(svg, drawing, series.ink, points.iter().copied()),
            Shape::Band(boxes) => band(svg, drawing, series.ink, boxes),
            Shape::Bars(bars) => {
                for bar in bars {
                    self::bar(svg, drawing, series, *bar, (place, count));
                }
            }
            Shape::Boxes(boxes) => {
                for five in boxes {
                    box_of(svg, drawing, series, five, (place, count));
                }
            }
            Shape::Spans(_, spans) => self::spans(svg, drawing, series.ink, spans),
        }
    }
}

/// A short piece of it for the legend.
pub fn sample(svg: &mut String, series: &Series, x: f64, y: f64) {
    let (class, dash) = (series.ink.class(), series.ink.dash());
    match &series.shape {
        Shape::Line(_) | Shape::Curve(_) | Shape::Band(_) => {
            let _ = write!(
                svg,
                "<path d=\"M{x:.1} {y:.1}h18\" stroke-width=\"2\" class=\"s{class}\"{dash}/>"
            );
            if matches!(series.shape, Shape::Line(_)) {
                marker(svg, series.ink, x + 9.0, y);
            }
        }
        Shape::Points(_) => marker(svg, series.ink, x + 9.0, y),
        _ => {
            let top = y - 5.0;
            let _ = write!(
                svg,
                "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"10\" height=\"10\" rx=\"1.5\" class=\"f{class}\"/>",
                x + 4.0
            );
        }
    }
}

/// A piece of a phase for the legend.
pub fn phase_sample(svg: &mut String, phase: usize, x: f64, y: f64) {
    let dense = PHASES[phase % PHASES.len()];
    let top = y - 4.0;
    let _ = write!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"18\" height=\"8\" fill-opacity=\"{dense}\" class=\"fn2\"/>"
    );
}

fn markers(
    svg: &mut String,
    drawing: &Drawing<'_>,
    series: &Series,
    points: &[Point],
    first: bool,
) {
    for (i, point) in points.iter().enumerate() {
        let (x, y) = (drawing.x.at(point.x), drawing.y.at(point.y));
        match &point.link {
            Some(link) if drawing.linked => {
                let stop = if first && i == 0 { 0 } else { -1 };
                let label = point_label(drawing.figure, series, point);
                let _ = write!(
                    svg,
                    "<a href=\"#{}\" tabindex=\"{stop}\"><title>{}</title>",
                    escape(link),
                    escape(&label)
                );
                marker(svg, series.ink, x, y);
                svg.push_str("</a>");
            }
            _ => marker(svg, series.ink, x, y),
        }
    }
}

fn point_label(figure: &Figure, series: &Series, point: &Point) -> String {
    let (x, y) = (figure.x.tell(point.x), number(point.y));
    format!(
        "{}, {} {x}: {y} {}",
        series.name, figure.x.name, figure.y.unit
    )
}

fn path(
    svg: &mut String,
    drawing: &Drawing<'_>,
    ink: Ink,
    points: impl Iterator<Item = (f64, f64)>,
) {
    let d = places(drawing, points);
    if !d.is_empty() {
        let (class, dash) = (ink.class(), ink.dash());
        let _ = write!(
            svg,
            "<path d=\"M{d}\" fill=\"none\" stroke-width=\"1.8\" stroke-linejoin=\"round\" class=\"s{class}\"{dash}/>"
        );
    }
}

fn places(drawing: &Drawing<'_>, points: impl Iterator<Item = (f64, f64)>) -> String {
    let place = |(x, y)| format!("{:.1} {:.1}", drawing.x.at(x), drawing.y.at(y));
    points.map(place).collect::<Vec<_>>().join("L")
}

fn marker(svg: &mut String, ink: Ink, x: f64, y: f64) {
    let class = ink.class();
    let _ = match ink.number() % 4 {
        0 => write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\" class=\"f{class} sb\"/>"
        ),
        1 => write!(
            svg,
            "<path d=\"M{:.1} {:.1}h6v6h-6z\" class=\"f{class} sb\"/>",
            x - 3.0,
            y - 3.0
        ),
        2 => write!(
            svg,
            "<path d=\"M{x:.1} {:.1}l3.9 6.8h-7.8z\" class=\"f{class} sb\"/>",
            y - 4.2
        ),
        _ => write!(
            svg,
            "<path d=\"M{x:.1} {:.1}l4 4l-4 4l-4 -4z\" class=\"f{class} sb\"/>",
            y - 4.0
        ),
    };
}

fn band(svg: &mut String, drawing: &Drawing<'_>, ink: Ink, boxes: &[FiveNumbers]) {
    let class = ink.class();
    for (low, high, dense) in [(0, 4, 0.16), (1, 3, 0.3)] {
        let there = boxes.iter().map(|five| (five.x, five.at[high]));
        let back = boxes.iter().rev().map(|five| (five.x, five.at[low]));
        let d = places(drawing, there.chain(back));
        let _ = write!(
            svg,
            "<path d=\"M{d}z\" fill-opacity=\"{dense}\" class=\"f{class}\"/>"
        );
    }
    path(
        svg,
        drawing,
        ink,
        boxes.iter().map(|five| (five.x, five.at[2])),
    );
}

/// The left side and the width of a bar among its neighbours.
fn slot(drawing: &Drawing<'_>, x: f64, (place, count): (usize, usize)) -> (f64, f64) {
    let room = (drawing.x.unit() * 0.72).min(46.0 * count as f64);
    let each = room / count as f64;
    (
        drawing.x.at(x) - room / 2.0 + each * place as f64 + each * 0.08,
        each * 0.84,
    )
}

fn bar(
    svg: &mut String,
    drawing: &Drawing<'_>,
    series: &Series,
    (x, value): (f64, f64),
    place: (usize, usize),
) {
    let (left, wide) = slot(drawing, x, place);
    let top = drawing.y.at(value);
    let text = drawing.figure.y.tell(value);
    let _ = write!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" class=\"f{}\"><title>{}: {text}</title></rect>",
        drawing.bottom - top,
        series.ink.class(),
        escape(&series.name)
    );
    if super::text::width(&text, 10.5) < wide + 8.0 {
        let middle = left + wide / 2.0;
        let _ = write!(
            svg,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"10.5\" class=\"ft\" aria-hidden=\"true\">{text}</text>",
            top - 3.0
        );
    }
}

fn box_of(
    svg: &mut String,
    drawing: &Drawing<'_>,
    series: &Series,
    five: &FiveNumbers,
    place: (usize, usize),
) {
    let (left, wide) = slot(drawing, five.x, place);
    let (left, wide) = (left + wide * 0.12, wide * 0.76);
    let middle = left + wide / 2.0;
    let range = if five.has_tails() {
        "5th to 95th percentile"
    } else {
        "least to greatest"
    };
    let [low, q1, median, q3, high] = five.at.map(|value| drawing.y.at(value));
    let class = series.ink.class();
    let _ = write!(
        svg,
        "<g class=\"s{class}\" stroke-width=\"1.4\"><title>{}: median {}, {range} {} to {}</title>\
         <path d=\"M{middle:.1} {low:.1}V{q1:.1}M{middle:.1} {q3:.1}V{high:.1}M{:.1} {low:.1}h8m-8 {:.1}h8\"/>\
         <rect x=\"{left:.1}\" y=\"{q3:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" fill-opacity=\"0.28\" class=\"f{class}\"/>\
         <path d=\"M{left:.1} {median:.1}h{wide:.1}\" stroke-width=\"2.6\"/></g>",
        escape(&series.name),
        number(five.at[2]),
        number(five.at[0]),
        number(five.at[4]),
        middle - 4.0,
        high - low,
        (q1 - q3).max(0.5)
    );
}

fn spans(svg: &mut String, drawing: &Drawing<'_>, ink: Ink, spans: &[Span]) {
    let thick = (drawing.y.unit() * 0.84 / drawing.figure.series.len() as f64).clamp(0.6, 9.0);
    let class = ink.class();
    for span in spans {
        let (from, to) = (drawing.x.at(span.from), drawing.x.at(span.to));
        let top = drawing.y.at(span.row) - thick / 2.0;
        let dense = PHASES[span.phase % PHASES.len()];
        let _ = write!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{thick:.1}\" fill-opacity=\"{dense}\" class=\"f{class}\"/>",
            (to - from).max(0.3)
        );
    }
}
