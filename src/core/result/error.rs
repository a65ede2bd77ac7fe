//! Errors of result files, with their place.

use super::read::original_columns;
use thiserror::Error;

/// The reason why a result file cannot be read.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// The file cannot be read, or is not UTF-8.
    #[error("cannot read {file}: {problem}")]
    Unreadable {
        /// The file.
        file: String,
        /// The error of the system or of the CSV reader.
        problem: String,
    },
    /// The file is another table.
    #[error(
        "{file} holds no results: it has no column `{missing}`; give a CSV of a run, with at least {}",
        original_columns().collect::<Vec<_>>().join(", ")
    )]
    NoResults {
        /// The file.
        file: String,
        /// The first missing column.
        missing: &'static str,
    },
    /// A cell does not have the type of its column.
    #[error("{file}, line {line}, column `{column}`: {problem}, found `{found}`")]
    Cell {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column.
        column: String,
        /// The expected value.
        problem: String,
        /// The start of the cell.
        found: String,
    },
    /// A line has too few or too many cells.
    #[error("{file}, line {line}: expected {expected} cells, found {found}; was it cut off?")]
    Cells {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The number of columns.
        expected: u64,
        /// The number of cells.
        found: u64,
    },
}

impl ResultsError {
    /// Returns the error of the CSV reader with the place of the file.
    pub(crate) fn from_csv(file: &str, error: &csv::Error) -> Self {
        let file = file.to_owned();
        match error.kind() {
            csv::ErrorKind::UnequalLengths {
                pos,
                expected_len,
                len,
            } => Self::Cells {
                file,
                line: pos.as_ref().map_or(0, csv::Position::line),
                expected: *expected_len,
                found: *len,
            },
            csv::ErrorKind::Utf8 { pos: Some(pos), .. } => {
                let problem = format!("line {} is not UTF-8", pos.line());
                Self::Unreadable { file, problem }
            }
            _ => Self::Unreadable {
                file,
                problem: error.to_string(),
            },
        }
    }
}

/// Returns the expected value of a cell that cannot be read.
pub(crate) fn expected(kind: &csv::DeserializeErrorKind) -> String {
    use csv::DeserializeErrorKind::{ParseBool, ParseFloat, ParseInt};
    match kind {
        ParseBool(_) => "expected `true` or `false`".into(),
        ParseInt(_) => "expected a whole number".into(),
        ParseFloat(_) => "expected a number".into(),
        other => other.to_string(),
    }
}
