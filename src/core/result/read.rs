//! Reading of result files: those of lmrun, and those of LMCache's Python tests.

use super::ResultsError;
use super::columns::{CellType, RowColumn};
use super::row::{COLUMNS, Row, Status};
use crate::driver::files;
use csv::StringRecord;
use std::io::Read;
use std::path::Path;

/// The number of columns that every result has, the first ones: those of LMCache's Python tests.
const ORIGINAL_COLUMNS: usize = 10;
/// Columns whose cells must not be empty.
const REQUIRED: [&str; 5] = [
    "timestamp",
    "engine_id",
    "request_id",
    "context_len",
    "query_len",
];
/// Columns in which the Python tests write `-` for a conversation.
const NUMBER_OR_DASH: [&str; 2] = ["case_id", "expr_id"];
/// The measures of the Python tests.
pub(super) const ORIGINAL_MEASURES: [&str; 3] = ["TTFT", "throughput", "latency"];

/// Returns true if the Python tests mark a failed request by these measures.
pub(super) fn is_original_failure(measures: [Option<f64>; 3]) -> bool {
    measures == [Some(-1.0); 3]
}

/// Returns the columns that every result has.
pub(super) fn original_columns() -> impl Iterator<Item = &'static str> {
    COLUMNS[..ORIGINAL_COLUMNS].iter().map(|column| column.name)
}

/// A result file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// The names of its columns, in their order.
    pub(crate) columns: Vec<String>,
    /// Its rows, in their order.
    pub(crate) rows: Vec<Row>,
}

/// A cell that does not have the type of its column.
struct InvalidCell<'a> {
    column: &'a str,
    expected: String,
    found: &'a str,
}

/// Reads the result file at `path`.
///
/// # Errors
/// Fails if it cannot be read, or if it is not a result file. The error names the place.
pub fn read(path: &Path) -> Result<Results, ResultsError> {
    let name = path.display().to_string();
    let file = files::open(path).map_err(|e| ResultsError::Unreadable {
        file: name.clone(),
        problem: e.to_string(),
    })?;
    parse(file, &name)
}

/// Returns true if the file at `path` has the columns of a result.
pub fn is_result(path: &Path) -> bool {
    let file = files::open(path).map_err(csv::Error::from);
    file.and_then(|file| csv::Reader::from_reader(file).headers().cloned())
        .is_ok_and(|headers| missing(&headers).is_none())
}

/// Reads results from `source`. Errors call it `file`.
///
/// # Errors
/// Fails if it is not a CSV of results. The error names the place.
pub fn parse(source: impl Read, file: &str) -> Result<Results, ResultsError> {
    let mut reader = csv::Reader::from_reader(source);
    let headers = reader
        .headers()
        .map_err(|e| ResultsError::from_csv(file, &e))?
        .clone();
    if let Some(missing) = missing(&headers) {
        return Err(ResultsError::NoResults {
            file: file.into(),
            missing,
        });
    }
    let mut rows = Vec::new();
    for cells in reader.records() {
        let cells = cells.map_err(|e| ResultsError::from_csv(file, &e))?;
        let line = cells.position().map_or(0, csv::Position::line);
        let row = read_row(&headers, &cells).map_err(|invalid| ResultsError::Cell {
            file: file.into(),
            line,
            column: invalid.column.into(),
            problem: invalid.expected,
            found: invalid.found.chars().take(60).collect(),
        })?;
        rows.push(Row { line, ..row });
    }
    Ok(Results {
        columns: headers.iter().map(str::to_owned).collect(),
        rows,
    })
}

/// Returns the first missing column of a result.
fn missing(headers: &StringRecord) -> Option<&'static str> {
    original_columns().find(|wanted| headers.iter().all(|header| header != *wanted))
}

/// Reads the cells that have a value; the others keep the default of their field.
fn read_row<'a>(
    headers: &'a StringRecord,
    cells: &'a StringRecord,
) -> Result<Row, InvalidCell<'a>> {
    let mut names = StringRecord::new();
    let mut values = StringRecord::new();
    for (column, found) in headers.iter().zip(cells) {
        let cell_type = match RowColumn::find(column) {
            Some(column) => column.cell_type,
            None if column == "case_id" => CellType::Whole,
            None => continue,
        };
        if found == "-" && NUMBER_OR_DASH.contains(&column) {
            continue;
        }
        let expected = match cell_type.parse(found) {
            Ok(Some(value)) => {
                names.push_field(column);
                values.push_field(&value);
                continue;
            }
            Ok(None) if !REQUIRED.contains(&column) => continue,
            Ok(None) => "expected a number",
            Err(expected) => expected,
        };
        return Err(InvalidCell {
            column,
            expected: expected.into(),
            found,
        });
    }
    let mut row: Row = match values.deserialize(Some(&names)) {
        Ok(row) => row,
        Err(error) => {
            return Err(InvalidCell {
                column: "?",
                expected: error.to_string(),
                found: "",
            });
        }
    };
    let has_status = names.iter().any(|name| name == "status");
    if !has_status && is_original_failure([row.ttft, row.throughput, row.latency]) {
        (row.ttft, row.throughput, row.latency) = (None, None, None);
        row.status = Status::Failed;
        row.error = Some("no reason was recorded".into());
    }
    if row.engine.is_empty() {
        row.engine = format!("engine {}", row.engine_id).into();
    }
    // Earlier versions have no `ended_s`.
    let moments = [row.done_s, row.last_token_s, row.headers_s, row.sent_s];
    row.ended_s = row.ended_s.or(moments.into_iter().flatten().next());
    Ok(row)
}

#[cfg(test)]
mod tests;
