//! What is wrong with a result file, and where.

use super::COLUMNS_OF_THE_ORIGINAL;
use thiserror::Error;

/// A result file that cannot be read. Each names the file.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// The file, or a byte in it, cannot be read.
    #[error("cannot read {file}: {problem}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system or the CSV reader says.
        problem: String,
    },
    /// Some other table.
    #[error(
        "{file} holds no results: it has no column `{missing}`; give a CSV of a run, with at least {}",
        COLUMNS_OF_THE_ORIGINAL.join(", ")
    )]
    NoResults {
        /// The file.
        file: String,
        /// The first column that is missing.
        missing: &'static str,
    },
    /// A cell that is not what its column holds.
    #[error("{file}, line {line}, column `{column}`: {problem}, found `{found}`")]
    Cell {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column.
        column: String,
        /// What was expected.
        problem: String,
        /// What stands there.
        found: String,
    },
    /// A line with too few or too many cells.
    #[error("{file}, line {line}: expected {expected} cells, found {found}; was it cut off?")]
    Cells {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// As many as the header has.
        expected: u64,
        /// As many as there are.
        found: u64,
    },
}

impl ResultsError {
    /// What the CSV reader says, in words of ours.
    pub(crate) fn of_csv(file: &str, error: &csv::Error) -> Self {
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

    /// A row whose cells are of the wrong kind.
    pub(crate) fn of_cell(
        file: &str,
        error: &csv::Error,
        headers: &csv::StringRecord,
        cells: &csv::StringRecord,
    ) -> Self {
        let csv::ErrorKind::Deserialize { err, .. } = error.kind() else {
            return Self::of_csv(file, error);
        };
        let at = err
            .field()
            .map_or_else(|| not_whole(headers, cells), |field| field as usize);
        Self::Cell {
            file: file.into(),
            line: cells.position().map_or(0, csv::Position::line),
            column: headers.get(at).unwrap_or("?").into(),
            problem: expected(err.kind()),
            found: cells.get(at).unwrap_or_default().chars().take(60).collect(),
        }
    }
}

/// What a cell should have been.
pub fn expected(kind: &csv::DeserializeErrorKind) -> String {
    use csv::DeserializeErrorKind::{ParseBool, ParseFloat, ParseInt};
    match kind {
        ParseBool(_) => "expected `true` or `false`".into(),
        ParseInt(_) => "expected a whole number".into(),
        ParseFloat(_) => "expected a number".into(),
        other => other.to_string(),
    }
}

/// The first cell that should be a whole number and is not: the reader does not say which it was.
fn not_whole(headers: &csv::StringRecord, cells: &csv::StringRecord) -> usize {
    const WHOLE: [&str; 6] = [
        "case_id",
        "expr_id",
        "engine_id",
        "request_id",
        "context_len",
        "query_len",
    ];
    let is_whole = |cell: &str| {
        matches!(cell, "" | "-")
            || cell
                .parse::<f64>()
                .is_ok_and(|n| n >= 0.0 && n.fract() == 0.0)
    };
    let mut pairs = headers.iter().zip(cells);
    pairs
        .position(|(name, cell)| WHOLE.contains(&name) && !is_whole(cell))
        .unwrap_or(usize::MAX)
}
