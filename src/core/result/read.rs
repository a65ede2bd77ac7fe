//! A CSV into records.

use super::{Record, ResultsError};
use crate::driver::files;
use std::io::Read;
use std::path::Path;

/// The columns that every result has: those of LMCache's Python tests.
pub const COLUMNS_OF_THE_ORIGINAL: [&str; 10] = [
    "expr_id",
    "timestamp",
    "engine_id",
    "request_id",
    "TTFT",
    "throughput",
    "latency",
    "context_len",
    "query_len",
    "gpu_memory",
];

/// A result file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// Its columns, in their order.
    pub columns: Vec<String>,
    /// Those of `columns` that lmrun does not know; each record has their cells in `extra`.
    pub extra_columns: Vec<String>,
    /// Its rows, in their order.
    pub records: Vec<Record>,
}

/// Reads the result file at `path`.
///
/// # Errors
/// When it cannot be read, or holds something else; the error says where.
pub fn read(path: &Path) -> Result<Results, ResultsError> {
    let name = path.display().to_string();
    let file = files::open(path).map_err(|e| ResultsError::Unreadable {
        file: name.clone(),
        problem: e.to_string(),
    })?;
    parse(file, &name)
}

/// Whether the file at `path` has the columns of a result, by its first line.
pub fn is_result(path: &Path) -> bool {
    let file = files::open(path).map_err(csv::Error::from);
    file.and_then(|file| csv::Reader::from_reader(file).headers().cloned())
        .is_ok_and(|headers| missing(&headers).is_none())
}

/// Reads results from `source`, which errors call `file`.
///
/// # Errors
/// When it is not a CSV of results; the error says where.
pub fn parse(source: impl Read, file: &str) -> Result<Results, ResultsError> {
    let mut reader = csv::Reader::from_reader(source);
    let headers = reader
        .headers()
        .map_err(|e| ResultsError::of_csv(file, &e))?
        .clone();
    if let Some(missing) = missing(&headers) {
        return Err(ResultsError::NoResults {
            file: file.into(),
            missing,
        });
    }
    let known = crate::core::Row::columns();
    let is_known = |column: &str| column == "case_id" || known.iter().any(|known| known == column);
    let extra: Vec<usize> = (0..headers.len())
        .filter(|at| !is_known(&headers[*at]))
        .collect();
    let mut records = Vec::new();
    for cells in reader.records() {
        let cells = cells.map_err(|e| ResultsError::of_csv(file, &e))?;
        records.push(
            record(&cells, &headers, &extra)
                .map_err(|e| ResultsError::of_cell(file, &e, &headers, &cells))?,
        );
    }
    let extra_columns = extra.iter().map(|at| headers[*at].to_owned()).collect();
    Ok(Results {
        columns: headers.iter().map(str::to_owned).collect(),
        extra_columns,
        records,
    })
}

fn record(
    cells: &csv::StringRecord,
    headers: &csv::StringRecord,
    extra: &[usize],
) -> csv::Result<Record> {
    let mut record: Record = cells.deserialize(Some(headers))?;
    record.line = cells.position().map_or(0, csv::Position::line);
    record.extra = extra.iter().map(|at| cells[*at].to_owned()).collect();
    Ok(record.mend())
}

/// The first column of a result that is not among the headers.
fn missing(headers: &csv::StringRecord) -> Option<&'static str> {
    COLUMNS_OF_THE_ORIGINAL
        .into_iter()
        .find(|wanted| headers.iter().all(|header| header != *wanted))
}
