//! Points drawn with braille: each character has two by four dots.

/// Characters of the drawing.
const WIDTH: usize = 60;
const HEIGHT: usize = 12;
/// The dots of a character, by column and row.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// Finite points between their extremes, with a title above; `None` of fewer than two.
pub fn draw(title: &str, mut points: Vec<(f64, f64)>) -> Option<String> {
    points.retain(|(x, y)| x.is_finite() && y.is_finite());
    if points.len() < 2 {
        return None;
    }
    let (across, up) =
        (Axis::of(points.iter().map(|point| point.0)), Axis::of(points.iter().map(|point| point.1)));
    let mut cells = [[0u8; WIDTH]; HEIGHT];
    for (x, y) in points {
        let (column, row) = (across.place(x, WIDTH * 2), HEIGHT * 4 - 1 - up.place(y, HEIGHT * 4));
        cells[row / 4][column / 2] |= DOTS[column % 2][row % 4];
    }
    let labels = |row| match row {
        0 => number(up.high),
        row if row == HEIGHT - 1 => number(up.low),
        _ => String::new(),
    };
    let character = |dots: &u8| char::from_u32(0x2800 + u32::from(*dots)).unwrap_or(' ');
    let line = |(row, cells): (usize, &[u8; WIDTH])| {
        format!("{:>10} │{}", labels(row), cells.iter().map(character).collect::<String>())
    };
    let lines: Vec<String> = cells.iter().enumerate().map(line).collect();
    let (low, high) = (number(across.low), number(across.high));
    let axis = format!("{:>10} └{}", "", "─".repeat(WIDTH));
    let scale = format!("{:>12}{low}{high:>width$}", "", width = WIDTH.saturating_sub(low.len()));
    Some([title.to_owned(), lines.join("\n"), axis, scale].join("\n"))
}

/// A range of values.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let start = Self { low: f64::INFINITY, high: f64::NEG_INFINITY };
        values.fold(start, |axis, value| Self { low: axis.low.min(value), high: axis.high.max(value) })
    }

    /// Which of `places` a value has.
    fn place(&self, value: f64, places: usize) -> usize {
        let share = if self.high > self.low { (value - self.low) / (self.high - self.low) } else { 0.5 };
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

    #[test]
    fn the_extremes_are_in_the_corners() {
        let drawing = draw("t", vec![(0.0, 0.0), (1.0, 2.0), (f64::NAN, 9.0)]).expect("two points");
        let lines: Vec<&str> = drawing.lines().collect();
        assert_eq!((lines[0], lines.len()), ("t", HEIGHT + 3));
        assert!(lines[1].starts_with("         2 │⠀") && lines[1].ends_with('⠈'), "{drawing}");
        assert!(lines[HEIGHT].starts_with("         0 │⡀"), "{drawing}");
        assert!(lines[HEIGHT + 2].ends_with('1'));
        assert_eq!(draw("t", vec![(0.0, 1.0)]), None);
    }

    #[test]
    fn values_that_are_all_the_same_are_drawn() {
        assert!(draw("t", vec![(1.0, 1.0), (1.0, 1.0)]).is_some());
    }
}
