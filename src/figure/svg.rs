//! A figure drawn: its frame, its axes, its legend.

use super::marks::{self, Drawing};
use super::palette::LIGHT;
use super::scale::Scale;
use super::text::{cut, escape, width};
use super::{Figure, Kind, Series, Shape};
use std::fmt::Write;

/// How wide a drawing is, in its own units; it is readable from 340 pixels on.
pub const WIDTH: f64 = 440.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 428.0;
const PLOT: f64 = 190.0;
/// The letters, wherever it is shown.
pub(super) const FONTS: &str =
    "system-ui,-apple-system,Segoe UI,Roboto,Helvetica Neue,Arial,DejaVu Sans,sans-serif";

/// The drawing for a page that has [`super::page_css`]; points are links.
pub fn in_page(figure: &Figure) -> String {
    let (id, note) = (&figure.id, escape(&figure.describe()));
    let head = format!(
        " role=\"group\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{note}</desc>",
        escape(&figure.title)
    );
    draw(figure, &head, true)
}

/// The drawing by itself, in its colours for paper, and its height.
pub fn alone(figure: &Figure) -> (String, f64) {
    let style = format!(
        "><style>{}</style><rect width=\"100%\" height=\"100%\" class=\"fg\"/>",
        LIGHT.css()
    );
    (draw(figure, &style, false), height(figure))
}

impl Figure {
    /// In a sentence what is to be seen.
    fn describe(&self) -> String {
        let names: Vec<&str> = self
            .series
            .iter()
            .map(|series| series.name.as_str())
            .collect();
        let tag = self
            .tag
            .as_ref()
            .map_or_else(String::new, |tag| format!(" {tag}."));
        format!(
            "{} over {}, for {}.{tag} {}",
            self.y.label(),
            self.x.label(),
            names.join(", "),
            self.note
        )
    }
}

fn draw(figure: &Figure, head: &str, linked: bool) -> String {
    let height = height(figure);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\" font-family=\"{FONTS}\" font-size=\"11.5\"{head}"
    );
    title(&mut svg, figure);
    let top = legend(&mut svg, figure) + 34.0;
    let bottom = top + PLOT;
    let (xs, ys) = extent(&figure.series);
    let x = Scale::new(&figure.x, xs, LEFT, RIGHT);
    let down = figure.y.kind == Kind::Down;
    let y = Scale::new(
        &figure.y,
        ys,
        if down { top } else { bottom },
        if down { bottom } else { top },
    );
    axes(&mut svg, figure, &x, &y, (top, bottom));
    let drawing = Drawing {
        figure,
        x: &x,
        y: &y,
        bottom,
        linked,
    };
    marks::draw(&mut svg, &drawing);
    svg + "</svg>"
}

fn title(svg: &mut String, figure: &Figure) {
    let tag = figure.tag.as_deref().unwrap_or_default();
    let room = if tag.is_empty() {
        0.0
    } else {
        width(tag, 10.0) + 16.0
    };
    let most = ((RIGHT - room - 8.0) / (13.5 * 0.58)) as usize;
    let text = escape(&cut(&figure.title, most));
    let _ = write!(
        svg,
        "<g aria-hidden=\"true\"><text x=\"2\" y=\"16\" class=\"ft\" font-size=\"13.5\" font-weight=\"bold\">{text}</text>"
    );
    if !tag.is_empty() {
        let left = RIGHT - room;
        let _ = write!(
            svg,
            "<rect x=\"{left:.1}\" y=\"3.5\" width=\"{room:.1}\" height=\"17\" rx=\"8.5\" fill=\"none\" class=\"stag\"/>\
             <text x=\"{:.1}\" y=\"15.5\" text-anchor=\"middle\" font-size=\"10\" font-weight=\"bold\" class=\"ftag\">{}</text>",
            left + room / 2.0,
            escape(tag)
        );
    }
    svg.push_str("</g>");
}

/// What the legend holds: a series, or a phase.
enum Entry<'a> {
    Of(&'a Series),
    Phase(usize, &'a str),
}

fn entries(figure: &Figure) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = figure.series.iter().map(Entry::Of).collect();
    let phases = figure.series.iter().find_map(|series| match &series.shape {
        Shape::Spans(phases, _) => Some(phases),
        _ => None,
    });
    entries.extend(
        phases
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(i, phase)| Entry::Phase(i, phase)),
    );
    entries
}

/// The places of the entries, and the last line's.
fn places(entries: &[Entry<'_>]) -> (Vec<(f64, f64, String)>, f64) {
    let (mut x, mut y) = (2.0, 36.0);
    let mut places = Vec::new();
    for entry in entries {
        let name = cut(
            match entry {
                Entry::Of(series) => &series.name,
                Entry::Phase(_, name) => name,
            },
            44,
        );
        let room = 24.0 + width(&name, 11.5) + 10.0;
        if x + room > RIGHT && x > 2.0 {
            (x, y) = (2.0, y + 17.0);
        }
        places.push((x, y, name));
        x += room;
    }
    (places, y)
}

fn legend(svg: &mut String, figure: &Figure) -> f64 {
    let entries = entries(figure);
    let (places, last) = places(&entries);
    svg.push_str("<g aria-hidden=\"true\">");
    for (entry, (x, y, name)) in entries.iter().zip(places) {
        match entry {
            Entry::Of(series) => marks::sample(svg, series, x, y - 4.0),
            Entry::Phase(i, _) => marks::phase_sample(svg, *i, x, y - 4.0),
        }
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{y:.1}\" class=\"ft\">{}</text>",
            x + 24.0,
            escape(&name)
        );
    }
    svg.push_str("</g>");
    last
}

fn height(figure: &Figure) -> f64 {
    places(&entries(figure)).1 + 34.0 + PLOT + 38.0
}

fn axes(svg: &mut String, figure: &Figure, x: &Scale, y: &Scale, (top, bottom): (f64, f64)) {
    svg.push_str("<g aria-hidden=\"true\" class=\"fm\">");
    for (at, text) in y.ticks(5) {
        let _ = write!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" class=\"sg\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" class=\"fm\">{text}</text>",
            LEFT - 6.0,
            at + 4.0,
            text = escape(&text)
        );
    }
    for (at, text) in x.ticks(6) {
        let _ = write!(
            svg,
            "<path d=\"M{at:.1} {bottom}v4\" class=\"sa\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" class=\"fm\">{}</text>",
            bottom + 16.0,
            escape(&text)
        );
    }
    let _ = write!(
        svg,
        "<path d=\"M{LEFT} {bottom}H{RIGHT}\" class=\"sa\"/>\
         <text x=\"2\" y=\"{:.1}\" class=\"fm\">{}</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" class=\"fm\">{}</text></g>",
        top - 8.0,
        escape(&figure.y.label()),
        f64::midpoint(LEFT, RIGHT),
        bottom + 32.0,
        escape(&figure.x.label())
    );
}

type Ends = (f64, f64);

/// The least and the most along both axes.
fn extent(series: &[Series]) -> (Ends, Ends) {
    let mut ends = [(f64::INFINITY, f64::NEG_INFINITY); 2];
    let mut add = |x: f64, y: f64| {
        for (end, value) in ends.iter_mut().zip([x, y]) {
            *end = (end.0.min(value), end.1.max(value));
        }
    };
    for series in series {
        match &series.shape {
            Shape::Line(points) | Shape::Points(points) => {
                for point in points {
                    add(point.x, point.y);
                }
            }
            Shape::Curve(points) | Shape::Bars(points) => {
                for (x, y) in points {
                    add(*x, *y);
                }
            }
            Shape::Band(boxes) | Shape::Boxes(boxes) => {
                for five in boxes {
                    add(five.x, five.at[0]);
                    add(five.x, five.at[4]);
                }
            }
            Shape::Spans(_, spans) => spans.iter().for_each(|span| {
                add(span.from, span.row);
                add(span.to, span.row);
            }),
        }
    }
    let known = |end: Ends| if end.0 <= end.1 { end } else { (0.0, 1.0) };
    (known(ends[0]), known(ends[1]))
}
