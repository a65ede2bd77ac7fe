//! From the lines of a file to the rows that are replayed.

use super::config::{Format, Trace};
use super::rows::TraceRow;
use super::{Count, azure, burstgpt, mooncake, sharegpt};
use crate::core::workload::{ConfigError, Generate, limits::MAX_TOKENS};
use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;

/// Takes the rows of a trace as they are read.
pub struct Sink<'a> {
    pub trace: &'a Trace,
    /// Counts the tokens of texts.
    pub count: Count<'a>,
    rows: Vec<TraceRow>,
    notes: BTreeMap<String, u64>,
    /// Why the first row that could not be read could not, and where.
    unread: Option<String>,
    /// The place and reason at which reading stopped early.
    broken: Option<String>,
}

impl Sink<'_> {
    pub fn row(&mut self, row: TraceRow) {
        if row.output_len == 0 {
            return self.note("without output (failed calls): left out");
        }
        if row.input_len == 0 {
            return self.note("without input: left out");
        }
        if row.input_len.max(row.output_len) > MAX_TOKENS {
            return self.note(&format!("longer than {MAX_TOKENS} tokens: left out"));
        }
        self.rows.push(row);
    }

    pub fn note(&mut self, note: &str) {
        *self.notes.entry(note.into()).or_default() += 1;
    }

    pub fn unreadable(&mut self, place: impl std::fmt::Display, problem: impl std::fmt::Display) {
        self.unread
            .get_or_insert_with(|| format!("{place}: {problem}"));
        self.note("that cannot be read: left out");
    }

    /// Records that the file is unreadable from `place` on.
    pub fn broken(&mut self, place: impl std::fmt::Display, problem: impl std::fmt::Display) {
        self.broken = Some(format!(
            "the rest of the file, from {place} on: left out ({problem})"
        ));
    }
}

impl Trace {
    /// The trace with the rows that `reader` holds. `count` counts the tokens of recorded texts.
    ///
    /// # Errors
    /// Where an option is wrong, it is no trace, or has no row that can be replayed.
    pub fn read(
        mut self,
        file: String,
        mut reader: impl BufRead,
        count: Count,
    ) -> Result<Self, ConfigError> {
        self.check()?;
        self.file = file;
        let start = reader
            .fill_buf()
            .map_err(|e| self.wrong(&format!("cannot be read: {e}")))?;
        if start.is_empty() {
            return Err(self.wrong("is empty"));
        }
        let known = self.format.or_else(|| detect(start));
        let format = known.ok_or_else(|| self.wrong(&unknown(start)))?;
        let unread = self.take(format, reader, count);
        if self.rows.is_empty() {
            let why = unread
                .or_else(|| self.left_out())
                .unwrap_or_else(|| "it is empty".into());
            return Err(self.wrong(&format!("has no request that can be replayed: {why}")));
        }
        self.slice();
        let sliced = format!("and `duration_s` leave no request of {}", self.file);
        ConfigError::first(&[(self.rows.is_empty(), "start_s", &sliced)])?;
        self.cap(count);
        let capped = format!(
            "leaves no request of {}: the texts cannot be cut so short",
            self.file
        );
        ConfigError::first(&[(self.rows.is_empty(), "max_input_len", &capped)])?;
        self.link();
        Ok(self)
    }

    fn wrong(&self, problem: &str) -> ConfigError {
        ConfigError::new("file", format!("{} {problem}", self.file))
    }

    /// Takes what can be replayed; why the first row that cannot be read cannot.
    fn take(&mut self, format: Format, reader: impl BufRead, count: Count) -> Option<String> {
        let (rows, notes) = (Vec::new(), BTreeMap::new());
        let mut sink = Sink {
            trace: self,
            count,
            rows,
            notes,
            unread: None,
            broken: None,
        };
        match format {
            Format::Mooncake => mooncake::read(reader, &mut sink),
            Format::BurstGpt => burstgpt::read(reader, &mut sink),
            Format::Azure => azure::read(reader, &mut sink),
            Format::ShareGpt => sharegpt::read(reader, &mut sink),
        }
        let Sink {
            rows,
            notes,
            unread,
            broken,
            ..
        } = sink;
        (self.rows, self.notes, self.broken, self.format) = (rows, notes, broken, Some(format));
        unread
    }

    /// Sorts the rows, counts their time from the first, and keeps those that are asked for.
    fn slice(&mut self) {
        self.share_times();
        let mut rows = std::mem::take(&mut self.rows);
        let first_s = rows
            .iter()
            .filter_map(|row| row.at_s)
            .fold(f64::INFINITY, f64::min);
        for at_s in rows.iter_mut().filter_map(|row| row.at_s.as_mut()) {
            *at_s -= first_s;
        }
        rows.sort_by(|a, b| {
            a.at_s
                .unwrap_or_default()
                .total_cmp(&b.at_s.unwrap_or_default())
        });
        let end_s = self
            .duration_s
            .map_or(f64::INFINITY, |duration_s| self.start_s.0 + duration_s.0);
        rows.retain(|row| {
            row.at_s
                .is_none_or(|at_s| at_s >= self.start_s.0 && at_s < end_s)
        });
        rows.truncate(
            self.requests
                .map_or(usize::MAX, |requests| requests as usize),
        );
        for at_s in rows.iter_mut().filter_map(|row| row.at_s.as_mut()) {
            *at_s = (*at_s - self.start_s.0) / self.speed;
        }
        self.rows = rows;
    }

    /// A turn without a time of its own comes with the one before it. Where some rows have a time,
    /// those that have none even so are left out.
    fn share_times(&mut self) {
        let mut latest = HashMap::new();
        for row in &mut self.rows {
            let Some(session) = &row.session else {
                continue;
            };
            row.at_s = row.at_s.or_else(|| latest.get(session).copied());
            if let Some(at_s) = row.at_s {
                latest.insert(session.clone(), at_s);
            }
        }
        if self.rows.iter().any(|row| row.at_s.is_some()) {
            self.leave_out("without a time, which others have: left out", |row| {
                row.at_s.is_some()
            });
        }
    }

    fn leave_out(&mut self, note: &str, keep: impl FnMut(&mut TraceRow) -> bool) {
        let before = self.rows.len();
        self.rows.retain_mut(keep);
        self.noting(note, before - self.rows.len());
    }

    fn noting(&mut self, note: &str, rows: usize) {
        if rows > 0 {
            self.notes.insert(note.into(), rows as u64);
        }
    }

    fn cap(&mut self, count: Count) {
        let input_most = self.max_input_len.unwrap_or(u64::MAX);
        let output_most = self.max_output_len.unwrap_or(u64::MAX);
        let is_short =
            |row: &&TraceRow| row.input_len <= input_most && row.output_len <= output_most;
        let short = self.rows.iter().filter(is_short).count();
        let note = "whose other messages alone are longer than `max_input_len`: left out";
        self.leave_out(note, |row| row.cut_input(input_most, count));
        for row in &mut self.rows {
            row.output_len = row.output_len.min(output_most);
        }
        let cut = self.rows.len() - short;
        self.noting("longer than `max_input_len` or `max_output_len`: cut", cut);
    }

    /// Finds for each row what came before it in its session.
    fn link(&mut self) {
        let mut sessions: HashMap<&str, (usize, u64)> = HashMap::new();
        for (number, row) in self.rows.iter_mut().enumerate() {
            let Some(session) = &row.session else {
                continue;
            };
            let before = sessions.get(session.as_str()).copied();
            row.before = before.map(|(number, _)| number);
            row.longest_before = before.map_or(0, |(_, longest)| longest);
            sessions.insert(session, (number, row.longest_before.max(row.input_len)));
        }
    }

    /// Returns a text that names the rows that were skipped or changed.
    pub fn noted(&self) -> Option<String> {
        Some(format!("{}: {}", self.file, self.left_out()?))
    }

    fn left_out(&self) -> Option<String> {
        let notes = self
            .notes
            .iter()
            .map(|(note, rows)| format!("{rows} rows {note}"));
        let notes: Vec<String> = notes.chain(self.broken.clone()).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

/// Returns the message of the JSON reader without a line number, which the caller knows.
pub fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(problem) => format!("column {}: {problem}", error.column()),
        None => text,
    }
}

fn unknown(start: &[u8]) -> String {
    let start = String::from_utf8_lossy(start);
    let head: String = start
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(40)
        .collect();
    format!(
        "begins with `{}`: expected JSON lines (mooncake), a JSON array (sharegpt), or a CSV with \
         `ContextTokens` (azure) or `Request tokens` (burstgpt)",
        head.escape_debug()
    )
}

/// Returns the format of a trace that begins with `start`.
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
