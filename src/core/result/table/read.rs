//! A CSV of any columns into a table.

use super::{Cell, Table};
use crate::core::result::ResultsError;
use crate::driver::files;
use std::io::Read;
use std::path::Path;

/// Reads the CSV at `path`.
///
/// # Errors
/// When it cannot be read; the text names the file, and the line where there is one.
pub fn read(path: &Path) -> Result<Table, String> {
    let name = path.display();
    let file = files::open(path).map_err(|e| format!("cannot read {name}: {e}"))?;
    parse(file).map_err(|e| ResultsError::of_csv(&name.to_string(), &e).to_string())
}

/// Reads a CSV. In a column of numbers, those are numbers.
///
/// # Errors
/// When it is not a CSV.
pub fn parse(source: impl Read) -> csv::Result<Table> {
    let mut reader = csv::Reader::from_reader(source);
    let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let rows = reader.records().collect::<csv::Result<Vec<_>>>()?;
    let kinds: Vec<Kind> = columns
        .iter()
        .enumerate()
        .map(|(at, name)| Kind::of(name, at, &rows))
        .collect();
    let row = |row: &csv::StringRecord| {
        row.iter()
            .zip(&kinds)
            .map(|(text, kind)| kind.cell(text))
            .collect()
    };
    Ok(mended(Table::new(columns, rows.iter().map(row).collect())))
}

/// What the cells of a column are.
#[derive(Clone, Copy)]
enum Kind {
    Whole,
    Real,
    Flag,
    Text,
}

impl Kind {
    /// The narrowest that every cell of a column fits.
    fn of(column: &str, at: usize, rows: &[csv::StringRecord]) -> Self {
        let all =
            |fits: fn(&str) -> bool| rows.iter().all(|row| row[at].is_empty() || fits(&row[at]));
        // Where all times happen to be whole, they are divided as times all the same.
        let is_measure = ["TTFT", "throughput", "latency", "timestamp"].contains(&column)
            || column.ends_with("_s");
        if !is_measure && all(|text| text.parse::<i64>().is_ok()) {
            Self::Whole
        } else if all(|text| text.parse::<f64>().is_ok()) {
            Self::Real
        } else if all(|text| text.parse::<bool>().is_ok()) {
            Self::Flag
        } else {
            Self::Text
        }
    }

    fn cell(self, text: &str) -> Cell {
        let cell = match self {
            _ if text.is_empty() => None,
            Self::Whole => text.parse().ok().map(Cell::Whole),
            Self::Real => text
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .map(Cell::Real),
            Self::Flag => text.parse().ok().map(Cell::Flag),
            Self::Text => Some(Cell::Text(text.to_owned())),
        };
        cell.unwrap_or_default()
    }
}

/// The original's sign for a failed request, −1 three times, is no measure.
fn mended(table: Table) -> Table {
    let measures = ["TTFT", "throughput", "latency"].map(|column| table.place(column));
    let ([Some(a), Some(b), Some(c)], None) = (measures, table.place("status")) else {
        return table;
    };
    let has_failed = |row: &[Cell]| [a, b, c].iter().all(|at| row[*at] == Cell::Real(-1.0));
    let mend = |row: &[Cell]| {
        let mut row = row.to_vec();
        if has_failed(&row) {
            for at in [a, b, c] {
                row[at] = Cell::Empty;
            }
        }
        row
    };
    let rows = table.rows().map(mend).collect();
    Table::new(table.columns().to_vec(), rows)
}
