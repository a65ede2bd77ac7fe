//! `BurstGPT`'s CSV: `Timestamp` (s), `Request tokens`, `Response tokens`; newer files have a
//! `Session ID`. A failed call has no response tokens.

use super::read::Sink;
use super::rows::{TracePrompt, TraceRow};
use super::table;
use serde::Deserialize;
use std::io::BufRead;

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "Timestamp")]
    timestamp: f64,
    #[serde(rename = "Session ID", default)]
    session: Option<String>,
    #[serde(rename = "Request tokens")]
    request_tokens: u64,
    #[serde(rename = "Response tokens")]
    response_tokens: u64,
}

pub fn read(reader: impl BufRead, sink: &mut Sink) {
    table::each(
        reader,
        sink,
        ["Timestamp", "Request tokens", "Response tokens"],
        |line: Line| {
            if !line.timestamp.is_finite() {
                return Err("its timestamp is no number".into());
            }
            Ok(TraceRow {
                at_s: Some(line.timestamp),
                session: line.session.filter(|session| !session.is_empty()),
                input_len: line.request_tokens,
                output_len: line.response_tokens,
                prompt: TracePrompt::Unknown,
                ..TraceRow::default()
            })
        },
    );
}
