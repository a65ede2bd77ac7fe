//! CSVs, row by row, with words for what is wrong with one.

use super::read::Sink;
use super::rows::TraceRow;
use crate::core::result::expected;
use csv::{ErrorKind, StringRecord};
use serde::de::DeserializeOwned;
use std::io::BufRead;

/// Puts what `row` makes of each row into `sink`. Without one of the columns `needed` there is
/// none.
pub fn each<T: DeserializeOwned>(
    reader: impl BufRead,
    sink: &mut Sink,
    needed: [&str; 3],
    row: impl Fn(T) -> Result<TraceRow, String>,
) {
    let mut reader = csv::Reader::from_reader(reader);
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(e) => return sink.broken("line 1", problem(&e, &StringRecord::new(), None)),
    };
    if let Some(column) = needed
        .iter()
        .find(|column| !headers.iter().any(|header| header == **column))
    {
        return sink.unreadable("line 1", format!("there is no column `{column}`"));
    }
    for record in reader.into_records() {
        let read = record
            .map_err(|e| (line(e.position()), problem(&e, &headers, None)))
            .and_then(|cells| {
                let read = cells
                    .deserialize::<T>(Some(&headers))
                    .map_err(|e| problem(&e, &headers, Some(&cells)));
                read.and_then(&row)
                    .map_err(|problem| (line(cells.position()), problem))
            });
        match read {
            Ok(row) => sink.row(row),
            Err((line, problem)) => sink.unreadable(format!("line {line}"), problem),
        }
    }
}

fn line(position: Option<&csv::Position>) -> u64 {
    position.map_or(1, csv::Position::line)
}

fn problem(error: &csv::Error, headers: &StringRecord, cells: Option<&StringRecord>) -> String {
    match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("expected {expected_len} cells, found {len}")
        }
        ErrorKind::Utf8 { .. } => "it is not UTF-8".into(),
        ErrorKind::Deserialize { err, .. } => {
            let at = err.field().map(|field| field as usize);
            let cell = at.and_then(|at| Some((headers.get(at)?, cells?.get(at)?)));
            let problem = expected(err.kind());
            match cell {
                Some((column, found)) => format!("column `{column}`: {problem}, found `{found}`"),
                None => problem,
            }
        }
        _ => error.to_string(),
    }
}
