//! Reading of a CSV with any columns.

use super::{Cell, Table};
use crate::core::result::ResultsError;
use crate::core::result::columns::{CellType, RowColumn};
use crate::core::result::read::{ORIGINAL_MEASURES, is_original_failure};
use crate::driver::files;
use csv::StringRecord;
use std::io::Read;
use std::path::Path;

/// Reads the CSV at `path`.
///
/// # Errors
/// Fails if it cannot be read. The text names the file, and the line if there is one.
pub fn read(path: &Path) -> Result<Table, String> {
    let name = path.display();
    let file = files::open(path).map_err(|e| format!("cannot read {name}: {e}"))?;
    parse(file).map_err(|e| ResultsError::from_csv(&name.to_string(), &e).to_string())
}

/// Reads a CSV. The cells of a column all have the narrowest type that fits them.
///
/// # Errors
/// Fails if it is not a CSV.
pub fn parse(source: impl Read) -> csv::Result<Table> {
    let mut reader = csv::Reader::from_reader(source);
    let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let lines = reader.records().collect::<csv::Result<Vec<_>>>()?;
    let mut types = Vec::new();
    for (at, name) in columns.iter().enumerate() {
        types.push(column_type(name, at, &lines));
    }
    let mut rows = Vec::new();
    for line in &lines {
        let cells = line.iter().zip(&types);
        rows.push(
            cells
                .map(|(text, cell_type)| cell(text, *cell_type))
                .collect(),
        );
    }
    Ok(without_original_failures(Table::new(columns, rows)))
}

/// Returns the narrowest type that fits every cell of the column at the place `at`.
fn column_type(name: &str, at: usize, lines: &[StringRecord]) -> CellType {
    // Times are numbers even if all of them happen to be whole: numbers divide without an error.
    let is_number = match RowColumn::find(name) {
        Some(column) => column.cell_type == CellType::Number,
        None => name.ends_with("_s"),
    };
    let cells = lines.iter().map(|line| &line[at]);
    let mut cells = cells.filter(|cell| !cell.is_empty());
    if !is_number && cells.clone().all(|cell| cell.parse::<i64>().is_ok()) {
        CellType::Whole
    } else if cells.clone().all(|cell| cell.parse::<f64>().is_ok()) {
        CellType::Number
    } else if cells.all(|cell| cell.parse::<bool>().is_ok()) {
        CellType::Flag
    } else {
        CellType::Text
    }
}

fn cell(text: &str, cell_type: CellType) -> Cell {
    if text.is_empty() {
        return Cell::Empty;
    }
    match cell_type {
        CellType::Whole => text.parse().map_or(Cell::Empty, Cell::Whole),
        CellType::Number => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Cell::Real(number),
            _ => Cell::Empty,
        },
        CellType::Flag => text.parse().map_or(Cell::Empty, Cell::Flag),
        CellType::Text => Cell::Text(text.to_owned()),
    }
}

/// Returns the table with empty measures for the requests that the Python tests mark as failed.
fn without_original_failures(table: Table) -> Table {
    let [Some(ttft), Some(throughput), Some(latency)] =
        ORIGINAL_MEASURES.map(|column| table.place(column))
    else {
        return table;
    };
    if table.place("status").is_some() {
        return table;
    }
    let places = [ttft, throughput, latency];
    let mut rows = Vec::new();
    for row in table.rows() {
        let mut row = row.to_vec();
        if is_original_failure(places.map(|at| row[at].number())) {
            for at in places {
                row[at] = Cell::Empty;
            }
        }
        rows.push(row);
    }
    Table::new(table.columns().to_vec(), rows)
}
