//! Recorded workloads, replayed: who came when, with how long a prompt, and what it shared.

mod azure;
mod burstgpt;
mod mooncake;
mod sharegpt;
#[cfg(test)]
mod tests;

use super::text::{Message, Part, seed_of};
use super::{After, ConfigError, Generate, Plan, Request};
use crate::bench::Seconds;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;

/// The config of a TRACE workload, and what was read for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trace {
    /// The file, for the record.
    #[serde(skip_deserializing)]
    pub file: String,
    /// How it is written; what it begins with decides where this is not given.
    pub format: Option<Format>,
    /// How many times as fast as it was recorded.
    pub speed: f64,
    /// Where in the recording to begin.
    pub start_s: Seconds,
    /// How much of the recording to replay.
    pub duration_s: Option<Seconds>,
    /// How many requests of it to replay at most.
    pub requests: Option<u64>,
    /// Longer prompts are cut to so many tokens.
    pub max_input_len: Option<u64>,
    /// Longer answers are cut to so many tokens.
    pub max_output_len: Option<u64>,
    /// Tokens of a block that a hash id stands for.
    pub block_len: u64,
    /// The unit of a Mooncake trace's timestamps.
    pub time_unit: Option<TimeUnit>,
    /// Turns of each `ShareGPT` conversation at most.
    pub turns: usize,
    /// What was read of it.
    #[serde(skip)]
    rows: Vec<TraceRow>,
    /// What was left out of it or changed, and how often.
    #[serde(skip_deserializing)]
    pub notes: BTreeMap<String, u64>,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            file: String::new(),
            format: None,
            speed: 1.0,
            start_s: Seconds(0.0),
            duration_s: None,
            requests: None,
            max_input_len: None,
            max_output_len: None,
            block_len: 512,
            time_unit: None,
            turns: 1,
            rows: Vec::new(),
            notes: BTreeMap::new(),
        }
    }
}

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON lines with `timestamp`, `input_length`, `output_length`, `hash_ids`, and its dialects.
    Mooncake,
    /// CSV with `Timestamp`, `Request tokens`, `Response tokens`.
    BurstGpt,
    /// CSV with `TIMESTAMP`, `ContextTokens`, `GeneratedTokens`.
    Azure,
    /// A JSON array of conversations.
    ShareGpt,
}

/// The unit of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl TimeUnit {
    fn seconds(self, value: f64) -> f64 {
        match self {
            Self::S => value,
            Self::Ms => value / 1e3,
            Self::Us => value / 1e6,
            Self::Ns => value / 1e9,
        }
    }
}

/// One request of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
struct TraceRow {
    /// When it came, seconds from whenever; `None` where the trace has no time for it.
    at_s: Option<f64>,
    /// Requests with the same one come one after the other.
    session: Option<String>,
    /// How long after the one before it in its session, seconds.
    wait_s: Option<f64>,
    input_len: u64,
    output_len: u64,
    /// What its prompt is made of.
    prompt: TracePrompt,
}

/// What is known of a prompt.
#[derive(Clone, Debug, Default, PartialEq)]
enum TracePrompt {
    /// Blocks of equal length; equal ids are equal text.
    Blocks(Vec<i64>),
    /// Nothing but its length. Prompts of a session begin alike.
    #[default]
    Unknown,
    /// The text, and whether the session's earlier messages come before it.
    Said { messages: Vec<(String, String)>, continues: bool },
}

/// Takes the rows of a trace as they are read.
struct Sink<'a> {
    trace: &'a Trace,
    rows: Vec<TraceRow>,
    notes: BTreeMap<String, u64>,
    /// Why the first row that could not be read could not, and where.
    unread: Option<String>,
}

impl Sink<'_> {
    fn row(&mut self, row: TraceRow) {
        if row.output_len == 0 {
            return self.note("without output (failed calls): left out");
        }
        if row.input_len == 0 {
            return self.note("without input: left out");
        }
        self.rows.push(row);
    }

    fn note(&mut self, note: &str) {
        *self.notes.entry(note.into()).or_default() += 1;
    }

    fn unreadable(&mut self, place: impl std::fmt::Display, problem: impl std::fmt::Display) {
        self.unread.get_or_insert_with(|| format!("{place}: {problem}"));
        self.note("that cannot be read: left out");
    }
}

impl Trace {
    /// The trace with the rows that `reader` holds.
    ///
    /// # Errors
    /// Where it is no trace, or has no row that can be replayed.
    pub fn read(mut self, file: String, mut reader: impl BufRead) -> Result<Self, ConfigError> {
        let wrong = |problem: String| ConfigError::new("file", format!("{file} {problem}"));
        let start = reader.fill_buf().map_err(|e| wrong(format!("cannot be read: {e}")))?;
        let format = self.format.or_else(|| detect(start)).ok_or_else(|| {
            wrong("is no trace of a known format: mooncake, burstgpt, azure or sharegpt".into())
        })?;
        let mut sink = Sink { trace: &self, rows: Vec::new(), notes: BTreeMap::new(), unread: None };
        match format {
            Format::Mooncake => mooncake::read(reader, &mut sink),
            Format::BurstGpt => burstgpt::read(reader, &mut sink),
            Format::Azure => azure::read(reader, &mut sink),
            Format::ShareGpt => sharegpt::read(reader, &mut sink),
        }
        let Sink { rows, notes, unread, .. } = sink;
        if rows.is_empty() {
            let why = unread.unwrap_or_else(|| "it is empty".into());
            return Err(wrong(format!("has no request that can be replayed: {why}")));
        }
        (self.rows, self.notes) = (rows, notes);
        self.slice();
        self.cap();
        if self.rows.is_empty() {
            return Err(ConfigError::new("start_s", format!("and `duration_s` leave no request of {file}")));
        }
        Ok(Self { file, format: Some(format), ..self })
    }

    /// Sorts the rows, counts their time from the first, and keeps those that are asked for.
    fn slice(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        let first_s = rows.iter().filter_map(|row| row.at_s).fold(f64::INFINITY, f64::min);
        // A turn without a time of its own comes with the one before it.
        let mut latest = HashMap::new();
        for row in &mut rows {
            let at_s = row.at_s.map(|at_s| at_s - first_s);
            row.at_s = at_s.or_else(|| latest.get(&row.session).copied().flatten());
            latest.insert(row.session.clone(), row.at_s);
        }
        rows.sort_by(|a, b| a.at_s.unwrap_or_default().total_cmp(&b.at_s.unwrap_or_default()));
        let end_s = self.duration_s.map_or(f64::INFINITY, |duration_s| self.start_s.0 + duration_s.0);
        rows.retain(|row| row.at_s.is_none_or(|at_s| at_s >= self.start_s.0 && at_s < end_s));
        rows.truncate(self.requests.map_or(usize::MAX, |requests| requests as usize));
        for at_s in rows.iter_mut().filter_map(|row| row.at_s.as_mut()) {
            *at_s = (*at_s - self.start_s.0) / self.speed;
        }
        self.rows = rows;
    }

    fn cap(&mut self) {
        let mut capped = 0;
        for row in &mut self.rows {
            let input_len = row.input_len.min(self.max_input_len.unwrap_or(u64::MAX));
            let output_len = row.output_len.min(self.max_output_len.unwrap_or(u64::MAX));
            capped += u64::from((input_len, output_len) != (row.input_len, row.output_len));
            (row.input_len, row.output_len) = (input_len, output_len);
        }
        if capped > 0 {
            self.notes.insert("longer than `max_input_len` or `max_output_len`: cut".into(), capped);
        }
    }

    /// What was left out or changed, in words.
    pub fn noted(&self) -> Option<String> {
        let notes: Vec<String> =
            self.notes.iter().map(|(note, rows)| format!("{rows} rows {note}")).collect();
        (!notes.is_empty()).then(|| format!("{}: {}", self.file, notes.join("; ")))
    }

    /// Whether the texts are the trace's own, and so not to be counted by any tokenizer but the rule.
    pub fn has_texts(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.prompt, TracePrompt::Said { .. }))
    }

    /// The messages of a row.
    fn messages(&self, row: &TraceRow, number: u64, plan: &Plan) -> Vec<Message> {
        let words = |what, id, tokens| Part::Words { seed: seed_of(plan.seed, what, id), tokens };
        match &row.prompt {
            TracePrompt::Unknown => {
                let part = match &row.session {
                    Some(session) => words(session, 0, row.input_len),
                    None => words("query", number, row.input_len),
                };
                vec![Message::user(vec![part])]
            }
            TracePrompt::Blocks(ids) => {
                let mut left = row.input_len;
                let mut parts = Vec::new();
                for id in ids {
                    let tokens = left.min(self.block_len);
                    parts.push(words("block", *id as u64, tokens));
                    left -= tokens;
                }
                parts.push(words("query", number, left));
                vec![Message::user(parts)]
            }
            TracePrompt::Said { messages, .. } => {
                let message = |(role, text): &(String, String)| Message {
                    role: role.as_str().into(),
                    parts: vec![Part::Literal(text.clone())],
                };
                messages.iter().map(message).collect()
            }
        }
    }
}

impl Generate for Trace {
    fn check(&self) -> Result<(), ConfigError> {
        for (wrong, option) in [
            (!(self.speed > 0.0 && self.speed.is_finite()), "speed"),
            (self.block_len == 0, "block_len"),
            (self.turns == 0, "turns"),
            (self.max_input_len == Some(0), "max_input_len"),
            (self.max_output_len == Some(0), "max_output_len"),
        ] {
            if wrong {
                return Err(ConfigError::new(option, "must be greater than zero"));
            }
        }
        Ok(())
    }

    fn arrivals(&self) -> Option<(&'static str, u64)> {
        Some(("the trace", self.rows.len() as u64))
    }

    fn is_timed(&self) -> bool {
        self.rows.iter().all(|row| row.at_s.is_some())
    }

    fn make(&self, plan: &mut Plan) {
        let mut sessions: HashMap<&str, usize> = HashMap::new();
        for (number, row) in self.rows.iter().enumerate() {
            let before = row.session.as_ref().and_then(|session| sessions.insert(session, number));
            let continues = matches!(row.prompt, TracePrompt::Said { continues: true, .. });
            let wait_s = row.wait_s.map(|wait_s| wait_s / self.speed);
            let after = before.map(|request| After { request, wait_s: wait_s.unwrap_or(0.0), continues });
            let is_free = after.is_none() || (wait_s.is_none() && row.at_s.is_some());
            plan.requests.push(Request {
                timestamp: is_free.then(|| row.at_s.unwrap_or(0.0)),
                after,
                session: before.map_or(number as u64, |before| plan.requests[before].session),
                turn: before.map_or(0, |before| plan.requests[before].turn + 1),
                query_len: row.input_len,
                output_len: Some(row.output_len),
                messages: self.messages(row, number as u64, plan),
                ..Request::default()
            });
        }
    }

    fn title(&self) -> String {
        let name = self.file.rsplit('/').next().unwrap_or_default();
        let speed = if (self.speed - 1.0).abs() > 1e-9 {
            format!(" at {} times its speed", self.speed)
        } else {
            String::new()
        };
        format!("trace {name}{speed}")
    }
}

/// What a trace is, by what it begins with.
fn detect(start: &[u8]) -> Option<Format> {
    let start = String::from_utf8_lossy(start);
    let head = start.lines().next().unwrap_or_default();
    match start.trim_start().chars().next()? {
        '[' => Some(Format::ShareGpt),
        '{' => Some(Format::Mooncake),
        _ if head.contains("Request tokens") => Some(Format::BurstGpt),
        _ if head.contains("ContextTokens") => Some(Format::Azure),
        _ => None,
    }
}
