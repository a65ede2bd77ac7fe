//! Mooncake's JSON lines, and the dialects of them.
//!
//! - Mooncake: `timestamp` (ms), `input_length`, `output_length`, `hash_ids`; vLLM's timed traces
//!   the same, with fractions.
//! - Sessions: also `session_id`, and `delay` (ms) after the turn before it in place of a timestamp;
//!   `text_input` or `messages` in place of hash ids.
//! - Timestamps as text are nanoseconds.

use super::Count;
use super::config::TimeUnit;
use super::read::{Sink, without_place};
use super::rows::{SaidMessage, TracePrompt, TraceRow};
use serde::Deserialize;
use std::io::BufRead;
use std::sync::Arc;

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
    text_input: Option<Arc<str>>,
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
    role: Arc<str>,
    content: Arc<str>,
}

pub fn read(reader: impl BufRead, sink: &mut Sink) {
    // Lines of bytes: one that is no text is left out alone.
    for (number, line) in reader.split(b'\n').enumerate() {
        let place = format!("line {}", number + 1);
        match line {
            Ok(line) if line.trim_ascii().is_empty() => {}
            Ok(line) => match row(&line, sink.trace.time_unit, sink.count) {
                Ok(row) => sink.row(row),
                Err(problem) => sink.unreadable(place, problem),
            },
            Err(e) => return sink.broken(place, e),
        }
    }
}

fn row(line: &[u8], unit: Option<TimeUnit>, count: Count) -> Result<TraceRow, String> {
    let line: Line = serde_json::from_slice(line).map_err(|e| without_place(&e))?;
    let at_s = line.timestamp.map(|time| time.seconds(unit)).transpose()?;
    let wait_s = line.delay.map(|time| time.seconds(unit)).transpose()?;
    let session = line.session_id.map(|name| match name {
        Name::Text(text) => text,
        Name::Number(number) => number.to_string(),
    });
    let in_session = session.is_some();
    let prompt = match (line.text_input, line.messages) {
        (Some(content), _) => {
            let messages = vec![SaidMessage {
                role: "user".into(),
                content,
            }];
            TracePrompt::Said {
                messages,
                continues: in_session,
            }
        }
        (None, messages) if !messages.is_empty() => {
            let message = |said: Said| SaidMessage {
                role: said.role,
                content: said.content,
            };
            TracePrompt::Said {
                messages: messages.into_iter().map(message).collect(),
                continues: false,
            }
        }
        _ if line.hash_ids.is_empty() => TracePrompt::Unknown,
        _ => TracePrompt::Blocks(line.hash_ids),
    };
    let input_len = match &prompt {
        TracePrompt::Said { messages, .. } => {
            messages.iter().map(|message| count(&message.content)).sum()
        }
        _ => line.input_length.ok_or("it has no `input_length`")?,
    };
    let output_len = line.output_length.ok_or("it has no `output_length`")?;
    Ok(TraceRow {
        at_s,
        session,
        wait_s,
        input_len,
        output_len,
        prompt,
        ..TraceRow::default()
    })
}

impl Time {
    fn seconds(&self, unit: Option<TimeUnit>) -> Result<f64, String> {
        let (value, usual) = match self {
            Self::Number(value) => (*value, TimeUnit::Ms),
            Self::Text(text) => (
                text.parse().map_err(|_| format!("`{text}` is no time"))?,
                TimeUnit::Ns,
            ),
        };
        if !value.is_finite() || value < 0.0 {
            return Err(format!("{value} is no time"));
        }
        Ok(unit.unwrap_or(usual).seconds(value))
    }
}
