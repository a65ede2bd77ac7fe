//! Azure's LLM inference CSV: `TIMESTAMP` (`2023-11-16 18:17:03.9799600`, with or without a
//! fraction and an offset), `ContextTokens`, `GeneratedTokens`.

use super::read::Sink;
use super::rows::{TracePrompt, TraceRow};
use super::table;
use jiff::civil::DateTime;
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;
use std::io::BufRead;

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "TIMESTAMP")]
    timestamp: String,
    #[serde(rename = "ContextTokens")]
    context_tokens: u64,
    #[serde(rename = "GeneratedTokens")]
    generated_tokens: u64,
}

pub fn read(reader: impl BufRead, sink: &mut Sink) {
    table::each(
        reader,
        sink,
        ["TIMESTAMP", "ContextTokens", "GeneratedTokens"],
        |line: Line| {
            Ok(TraceRow {
                at_s: Some(seconds(&line.timestamp)?),
                input_len: line.context_tokens,
                output_len: line.generated_tokens,
                prompt: TracePrompt::Unknown,
                ..TraceRow::default()
            })
        },
    );
}

/// Seconds since 1970; a time without an offset is taken as UTC.
fn seconds(text: &str) -> Result<f64, String> {
    let civil = || {
        text.parse::<DateTime>()
            .and_then(|civil| TimeZone::UTC.to_timestamp(civil))
    };
    let timestamp = text.parse::<Timestamp>().or_else(|_| civil());
    timestamp
        .map(|timestamp| timestamp.as_nanosecond() as f64 / 1e9)
        .map_err(|_| format!("expected a time such as 2023-11-16 18:17:03, found `{text}`"))
}
