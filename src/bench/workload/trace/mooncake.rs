//! Mooncake's JSON lines, and the dialects of them.
//!
//! - Mooncake: `timestamp` (ms), `input_length`, `output_length`, `hash_ids`; vLLM's timed traces
//!   the same, with fractions.
//! - Sessions: also `session_id`, and `delay` (ms) after the turn before it in place of a timestamp;
//!   `text_input` or `messages` in place of hash ids.
//! - Timestamps as text are nanoseconds.

use super::{Sink, TimeUnit, TracePrompt, TraceRow};
use crate::bench::workload::estimate_tokens;
use serde::Deserialize;
use std::io::BufRead;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    timestamp: Option<Time>,
    #[serde(default)]
    delay: Option<Time>,
    #[serde(default)]
    input_length: Option<u64>,
    #[serde(default)]
    output_length: Option<u64>,
    #[serde(default)]
    hash_ids: Vec<i64>,
    #[serde(default)]
    session_id: Option<Name>,
    #[serde(default)]
    text_input: Option<String>,
    #[serde(default)]
    messages: Vec<Said>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Number(f64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Number(i64),
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: String,
}

pub fn read(reader: impl BufRead, sink: &mut Sink) {
    for (number, line) in reader.lines().enumerate() {
        let place = format!("line {}", number + 1);
        match line {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => match row(&line, sink.trace.time_unit) {
                Ok(row) => sink.row(row),
                Err(problem) => sink.unreadable(place, problem),
            },
            Err(e) => return sink.unreadable(place, e),
        }
    }
}

fn row(line: &str, unit: Option<TimeUnit>) -> Result<TraceRow, String> {
    let line: Line = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let at_s = line.timestamp.map(|time| time.seconds(unit)).transpose()?;
    let wait_s = line.delay.map(|time| time.seconds(unit)).transpose()?;
    let session = line.session_id.map(|name| match name {
        Name::Text(text) => text,
        Name::Number(number) => number.to_string(),
    });
    let in_session = session.is_some();
    let (text_len, prompt) = match (line.text_input, line.messages) {
        (Some(text), _) => {
            let tokens = estimate_tokens(&text);
            (tokens, TracePrompt::Said { messages: vec![("user".into(), text)], continues: in_session })
        }
        (None, messages) if !messages.is_empty() => {
            let tokens = messages.iter().map(|said| estimate_tokens(&said.content)).sum();
            let messages = messages.into_iter().map(|said| (said.role, said.content)).collect();
            (tokens, TracePrompt::Said { messages, continues: false })
        }
        _ if line.hash_ids.is_empty() => (0, TracePrompt::Unknown),
        _ => (0, TracePrompt::Blocks(line.hash_ids)),
    };
    let has_text = matches!(prompt, TracePrompt::Said { .. });
    let told = line.input_length.filter(|_| !has_text);
    let input_len = told.or(has_text.then_some(text_len)).ok_or("it has no `input_length`")?;
    let output_len = line.output_length.ok_or("it has no `output_length`")?;
    Ok(TraceRow { at_s, session, wait_s, input_len, output_len, prompt })
}

impl Time {
    fn seconds(&self, unit: Option<TimeUnit>) -> Result<f64, String> {
        let (value, usual) = match self {
            Self::Number(value) => (*value, TimeUnit::Ms),
            Self::Text(text) => (text.parse().map_err(|_| format!("`{text}` is no time"))?, TimeUnit::Ns),
        };
        if !value.is_finite() || value < 0.0 {
            return Err(format!("{value} is no time"));
        }
        Ok(unit.unwrap_or(usual).seconds(value))
    }
}
