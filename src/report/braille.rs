//! Figures drawn with braille: each character has two by four dots.

use crate::figure::{Figure, Point, Shape};

/// Characters across a drawing that is not for a terminal.
const WIDTH: usize = 60;
/// Characters across the smallest drawing.
const NARROWEST: usize = 20;
/// Characters left of the drawing, which the labels take.
const MARGIN: usize = 12;
const HEIGHT: usize = 12;
/// The dots of a character, by column and row.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// Draws a figure of lines and points for a terminal of `columns`, each series below the other on the same
/// axes; `None` if it has other forms, or fewer than two points.
pub fn draw(figure: &Figure, columns: Option<u16>) -> Option<String> {
    let width = columns.map_or(WIDTH, |columns| {
        usize::from(columns).saturating_sub(MARGIN).max(NARROWEST)
    });
    let series: Vec<(&str, Vec<(f64, f64)>)> = figure
        .series
        .iter()
        .map(|series| Some((series.name.as_str(), points(&series.shape, width)?)))
        .collect::<Option<_>>()?;
    let all: Vec<(f64, f64)> = series
        .iter()
        .flat_map(|(_, points)| points)
        .copied()
        .collect();
    if all.len() < 2 {
        return None;
    }
    let axes = [
        Axis::of(all.iter().map(|point| point.0)),
        Axis::of(all.iter().map(|point| point.1)),
    ];
    let tag = figure
        .tag
        .as_ref()
        .map(|tag| format!(" ({tag})"))
        .unwrap_or_default();
    let mut lines = vec![format!(
        "{}{tag}: {} over {}",
        figure.title,
        figure.y.label(),
        figure.x.label()
    )];
    for (name, points) in &series {
        lines.extend((series.len() > 1).then(|| (*name).to_owned()));
        lines.push(panel(points, &axes, width));
    }
    Some(lines.join("\n"))
}

/// The finite points of a shape that is made of points.
fn points(shape: &Shape, width: usize) -> Option<Vec<(f64, f64)>> {
    let places = |points: &[Point]| {
        points
            .iter()
            .map(|point| (point.x, point.y))
            .collect::<Vec<_>>()
    };
    let mut points = match shape {
        Shape::Points(points) => places(points),
        Shape::Line(points) => joined(&places(points), width),
        Shape::Curve(points) => joined(points, width),
        Shape::Band(bands) => joined(
            &bands
                .iter()
                .map(|band| (band.x, band.at[2]))
                .collect::<Vec<_>>(),
            width,
        ),
        Shape::Bars(_) | Shape::Boxes(_) | Shape::Spans(..) => return None,
    };
    points.retain(|(x, y)| x.is_finite() && y.is_finite());
    Some(points)
}

/// Points with so many between each two that they are a line.
fn joined(points: &[(f64, f64)], width: usize) -> Vec<(f64, f64)> {
    let steps = width * 2;
    let between = |pair: &[(f64, f64)]| {
        let ((x, y), (dx, dy)) = (pair[0], (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1));
        (0..steps)
            .map(move |step| step as f64 / steps as f64)
            .map(move |part| (x + part * dx, y + part * dy))
    };
    points
        .windows(2)
        .flat_map(between)
        .chain(points.last().copied())
        .collect()
}

fn panel(points: &[(f64, f64)], [across, up]: &[Axis; 2], width: usize) -> String {
    let mut cells = vec![vec![0u8; width]; HEIGHT];
    for (x, y) in points {
        let (column, row) = (
            across.place(*x, width * 2),
            HEIGHT * 4 - 1 - up.place(*y, HEIGHT * 4),
        );
        cells[row / 4][column / 2] |= DOTS[column % 2][row % 4];
    }
    let labels = |row| match row {
        0 => number(up.high),
        row if row == HEIGHT - 1 => number(up.low),
        _ => String::new(),
    };
    let character = |dots: &u8| char::from_u32(0x2800 + u32::from(*dots)).unwrap_or(' ');
    let line = |(row, cells): (usize, &Vec<u8>)| {
        format!(
            "{:>10} │{}",
            labels(row),
            cells.iter().map(character).collect::<String>()
        )
    };
    let lines: Vec<String> = cells.iter().enumerate().map(line).collect();
    let (low, high) = (number(across.low), number(across.high));
    let axis = format!("{:>10} └{}", "", "─".repeat(width));
    let scale = format!(
        "{:>12}{low}{high:>width$}",
        "",
        width = width.saturating_sub(low.len())
    );
    [lines.join("\n"), axis, scale].join("\n")
}

/// A range of values.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let start = Self {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        };
        values.fold(start, |axis, value| Self {
            low: axis.low.min(value),
            high: axis.high.max(value),
        })
    }

    /// Returns the index of a value among `places`.
    fn place(&self, value: f64, places: usize) -> usize {
        let share = if self.high > self.low {
            (value - self.low) / (self.high - self.low)
        } else {
            0.5
        };
        (share * (places - 1) as f64).round() as usize
    }
}

fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Ink, Kind, Series};

    fn figure(series: &[&[(f64, f64)]]) -> Figure {
        let axis = |name: &str, unit| crate::figure::Axis::new(name, unit, Kind::Linear);
        let dots = |(at, points): (usize, &&[(f64, f64)])| Series {
            name: format!("s{at}"),
            ink: Ink::Engine(at),
            shape: Shape::Points(
                points
                    .iter()
                    .map(|(x, y)| Point {
                        x: *x,
                        y: *y,
                        link: None,
                    })
                    .collect(),
            ),
        };
        Figure {
            id: "f".into(),
            title: "t".into(),
            tag: None,
            note: String::new(),
            x: axis("request", ""),
            y: axis("TTFT", "s"),
            series: series.iter().enumerate().map(dots).collect(),
        }
    }

    #[test]
    fn the_extremes_are_in_the_corners() {
        let drawing =
            draw(&figure(&[&[(0.0, 0.0), (1.0, 2.0), (f64::NAN, 9.0)]]), None).expect("two points");
        let lines: Vec<&str> = drawing.lines().collect();
        assert_eq!(
            (lines[0], lines.len()),
            ("t: TTFT (s) over request", HEIGHT + 3)
        );
        assert!(
            lines[1].starts_with("         2 │⠀") && lines[1].ends_with('⠈'),
            "{drawing}"
        );
        assert!(lines[HEIGHT].starts_with("         0 │⡀"), "{drawing}");
        assert!(lines[HEIGHT + 2].ends_with('1'));
    }

    #[test]
    fn a_drawing_is_as_wide_as_the_terminal() {
        for (columns, expected) in [(Some(100), 100), (Some(40), 40), (Some(5), 32), (None, 72)] {
            let drawing = draw(&figure(&[&[(0.0, 0.0), (1.0, 2.0)]]), columns).expect("two points");
            let widths = drawing.lines().skip(1).map(|line| line.chars().count());
            assert_eq!(widths.max(), Some(expected), "{columns:?}");
        }
    }

    #[test]
    fn series_share_their_axes() {
        let drawing = draw(&figure(&[&[(0.0, 0.0)], &[(1.0, 4.0)]]), None).expect("two points");
        let names: Vec<&str> = drawing
            .lines()
            .filter(|line| line.starts_with('s'))
            .collect();
        assert_eq!(
            (names, drawing.matches("         4 │").count()),
            (vec!["s0", "s1"], 2),
            "{drawing}"
        );
    }

    #[test]
    fn values_that_are_all_the_same_are_drawn_and_a_single_one_is_not() {
        assert!(draw(&figure(&[&[(1.0, 1.0), (1.0, 1.0)]]), None).is_some());
        assert_eq!(draw(&figure(&[&[(0.0, 1.0)]]), None), None);
    }
}
