//! The marks of the series: lines, markers, bands, bars, boxes and spans.

use super::svg::Drawing;
use super::text::{escape, number, width};
use super::{FiveNumbers, Ink, Point, Series, Shape, Span};
use std::fmt::Write;

/// The opacity of each phase.
const PHASES: [f64; 3] = [0.22, 0.5, 1.0];

/// The width of a bar or box, and the position of its left side.
struct Slot {
    left: f64,
    wide: f64,
}

impl Drawing<'_> {
    /// Draws all series.
    pub(crate) fn marks(&mut self) {
        let figure = self.figure;
        for (index, series) in figure.series.iter().enumerate() {
            match &series.shape {
                Shape::Line(points) => {
                    self.path(series.ink, points.iter().map(|point| (point.x, point.y)));
                    self.markers(index, points);
                }
                Shape::Points(points) => self.markers(index, points),
                Shape::Curve(points) => self.path(series.ink, points.iter().copied()),
                Shape::Band(boxes) => self.band(series.ink, boxes),
                Shape::Bars(bars) => {
                    for (x, value) in bars {
                        let slot = self.slot(index, *x);
                        self.bar(series, &slot, *value);
                    }
                }
                Shape::Boxes(boxes) => {
                    for five in boxes {
                        let slot = self.slot(index, five.x);
                        self.box_plot(series, &slot, five);
                    }
                }
                Shape::Spans(_, spans) => self.spans(series.ink, spans),
            }
        }
    }

    /// Draws a sample of a series for the legend.
    pub(crate) fn sample(&mut self, series: &Series, x: f64, y: f64) {
        let class = series.ink.class();
        match &series.shape {
            Shape::Line(_) | Shape::Curve(_) | Shape::Band(_) => {
                let dash = series.ink.dash();
                let _ = write!(
                    self.svg,
                    "<path d=\"M{x:.1} {y:.1}h18\" stroke-width=\"2\" class=\"s{class}\"{dash}/>"
                );
                if matches!(series.shape, Shape::Line(_)) {
                    self.marker(series.ink, x + 9.0, y);
                }
            }
            Shape::Points(_) => self.marker(series.ink, x + 9.0, y),
            Shape::Bars(_) | Shape::Boxes(_) | Shape::Spans(..) => {
                let left = x + 4.0;
                let top = y - 5.0;
                let _ = write!(
                    self.svg,
                    "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"10\" height=\"10\" rx=\"1.5\" \
                     class=\"f{class}\"/>"
                );
            }
        }
    }

    /// Draws a sample of a phase for the legend.
    pub(crate) fn phase_sample(&mut self, phase: usize, x: f64, y: f64) {
        let opacity = PHASES[phase % PHASES.len()];
        let top = y - 4.0;
        let _ = write!(
            self.svg,
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"18\" height=\"8\" \
             fill-opacity=\"{opacity}\" class=\"fn2\"/>"
        );
    }

    /// Draws the markers of a series. The first point of the figure is a stop of the tab key.
    fn markers(&mut self, index: usize, points: &[Point]) {
        let figure = self.figure;
        let series = &figure.series[index];
        for (i, point) in points.iter().enumerate() {
            let x = self.x.at(point.x);
            let y = self.y.at(point.y);
            match &point.link {
                Some(link) if self.has_links => {
                    let stop = if index == 0 && i == 0 { 0 } else { -1 };
                    let link = escape(link);
                    let label = escape(&self.point_label(series, point));
                    let _ = write!(
                        self.svg,
                        "<a href=\"#{link}\" tabindex=\"{stop}\"><title>{label}</title>"
                    );
                    self.marker(series.ink, x, y);
                    self.svg.push_str("</a>");
                }
                _ => self.marker(series.ink, x, y),
            }
        }
    }

    fn point_label(&self, series: &Series, point: &Point) -> String {
        let figure = self.figure;
        format!(
            "{}, {} {}: {} {}",
            series.name,
            figure.x.name,
            figure.x.format(point.x),
            number(point.y),
            figure.y.unit
        )
    }

    fn path(&mut self, ink: Ink, points: impl Iterator<Item = (f64, f64)>) {
        let d = self.path_data(points);
        if d.is_empty() {
            return;
        }
        let class = ink.class();
        let dash = ink.dash();
        let _ = write!(
            self.svg,
            "<path d=\"M{d}\" fill=\"none\" stroke-width=\"1.8\" stroke-linejoin=\"round\" \
             class=\"s{class}\"{dash}/>"
        );
    }

    fn path_data(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let places: Vec<String> = points
            .map(|(x, y)| format!("{:.1} {:.1}", self.x.at(x), self.y.at(y)))
            .collect();
        places.join("L")
    }

    fn marker(&mut self, ink: Ink, x: f64, y: f64) {
        let class = ink.class();
        let _ = match ink.number() % 4 {
            0 => write!(
                self.svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\" class=\"f{class} sb\"/>"
            ),
            1 => write!(
                self.svg,
                "<path d=\"M{:.1} {:.1}h6v6h-6z\" class=\"f{class} sb\"/>",
                x - 3.0,
                y - 3.0
            ),
            2 => write!(
                self.svg,
                "<path d=\"M{x:.1} {:.1}l3.9 6.8h-7.8z\" class=\"f{class} sb\"/>",
                y - 4.2
            ),
            _ => write!(
                self.svg,
                "<path d=\"M{x:.1} {:.1}l4 4l-4 4l-4 -4z\" class=\"f{class} sb\"/>",
                y - 4.0
            ),
        };
    }

    fn band(&mut self, ink: Ink, boxes: &[FiveNumbers]) {
        let class = ink.class();
        for (low, high, opacity) in [(0, 4, 0.16), (1, 3, 0.3)] {
            let upper = boxes.iter().map(|five| (five.x, five.at[high]));
            let lower = boxes.iter().rev().map(|five| (five.x, five.at[low]));
            let d = self.path_data(upper.chain(lower));
            let _ = write!(
                self.svg,
                "<path d=\"M{d}z\" fill-opacity=\"{opacity}\" class=\"f{class}\"/>"
            );
        }
        self.path(ink, boxes.iter().map(|five| (five.x, five.at[2])));
    }

    /// Returns the slot of the series with this index at `x`, next to those of the other series.
    fn slot(&self, index: usize, x: f64) -> Slot {
        let count = self.figure.series.len() as f64;
        let room = (self.x.unit() * 0.72).min(46.0 * count);
        let each = room / count;
        Slot {
            left: self.x.at(x) - room / 2.0 + each * index as f64 + each * 0.08,
            wide: each * 0.84,
        }
    }

    fn bar(&mut self, series: &Series, slot: &Slot, value: f64) {
        let Slot { left, wide } = slot;
        let top = self.y.at(value);
        let height = self.bottom - top;
        let text = self.figure.y.format(value);
        let class = series.ink.class();
        let name = escape(&series.name);
        let _ = write!(
            self.svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{height:.1}\" \
             class=\"f{class}\"><title>{name}: {text}</title></rect>"
        );
        if width(&text, 10.5) < wide + 8.0 {
            let middle = left + wide / 2.0;
            let baseline = top - 3.0;
            let _ = write!(
                self.svg,
                "<text x=\"{middle:.1}\" y=\"{baseline:.1}\" text-anchor=\"middle\" \
                 font-size=\"10.5\" class=\"ft\" aria-hidden=\"true\">{text}</text>"
            );
        }
    }

    fn box_plot(&mut self, series: &Series, slot: &Slot, five: &FiveNumbers) {
        let left = slot.left + slot.wide * 0.12;
        let wide = slot.wide * 0.76;
        let middle = left + wide / 2.0;
        let range = if five.has_tails() {
            "5th to 95th percentile"
        } else {
            "min to max"
        };
        let [low, q1, median, q3, high] = five.at.map(|value| self.y.at(value));
        let class = series.ink.class();
        let _ = write!(
            self.svg,
            "<g class=\"s{class}\" stroke-width=\"1.4\">\
             <title>{}: median {}, {range} {} to {}</title>\
             <path d=\"M{middle:.1} {low:.1}V{q1:.1}M{middle:.1} {q3:.1}V{high:.1}\
             M{:.1} {low:.1}h8m-8 {:.1}h8\"/>\
             <rect x=\"{left:.1}\" y=\"{q3:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" \
             fill-opacity=\"0.28\" class=\"f{class}\"/>\
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

    fn spans(&mut self, ink: Ink, spans: &[Span]) {
        let rows = self.figure.series.len() as f64;
        let thick = (self.y.unit() * 0.84 / rows).clamp(0.6, 9.0);
        let class = ink.class();
        for span in spans {
            let left = self.x.at(span.from);
            let wide = (self.x.at(span.to) - left).max(0.3);
            let top = self.y.at(span.row) - thick / 2.0;
            let opacity = PHASES[span.phase % PHASES.len()];
            let _ = write!(
                self.svg,
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{thick:.1}\" \
                 fill-opacity=\"{opacity}\" class=\"f{class}\"/>"
            );
        }
    }
}
