//! From the rows of a trace to requests.

use super::config::Trace;
use super::rows::{SaidMessage, TracePrompt, TraceRow};
use crate::core::workload::seed::seed_of;
use crate::core::workload::text::{Message, Part};
use crate::core::workload::{After, ConfigError, Generate, Plan, Request, TextOptions};

impl Trace {
    /// Returns true if the trace has texts of its own.
    pub fn has_texts(&self) -> bool {
        self.rows
            .iter()
            .any(|row| matches!(row.prompt, TracePrompt::Said { .. }))
    }

    /// The messages of a row.
    fn messages(&self, row: &TraceRow, number: u64, plan: &Plan) -> Vec<Message> {
        match &row.prompt {
            TracePrompt::Unknown => vec![Message::user(row.unknown(number, plan))],
            TracePrompt::Blocks(ids) => {
                vec![Message::user(self.blocks(ids, row.input_len, number, plan))]
            }
            TracePrompt::Said { messages, .. } => {
                messages.iter().map(SaidMessage::message).collect()
            }
        }
    }

    /// The blocks of a prompt, and words of its own behind them.
    fn blocks(&self, ids: &[i64], input_len: u64, number: u64, plan: &Plan) -> Vec<Part> {
        let mut left = input_len;
        let mut parts = Vec::new();
        for id in ids {
            let tokens = left.min(self.block_len);
            parts.push(Part::Words {
                seed: seed_of(plan.seed, "block", *id as u64),
                tokens,
            });
            left -= tokens;
        }
        parts.push(plan.query(number, left));
        parts
    }
}

impl TraceRow {
    /// Words of its session, so that a longer prompt begins with all of a shorter one before it.
    /// One that is no longer than those before it ends in a word of its own: it is another prompt.
    fn unknown(&self, number: u64, plan: &Plan) -> Vec<Part> {
        let (shared, session) = match &self.session {
            None => (0, ""),
            Some(session) if self.input_len > self.longest_before => {
                (self.input_len, session.as_str())
            }
            Some(session) => (self.input_len - 1, session.as_str()),
        };
        let words = Part::Words {
            seed: seed_of(plan.seed, session, 0),
            tokens: shared,
        };
        vec![words, plan.query(number, self.input_len - shared)]
    }
}

impl SaidMessage {
    fn message(&self) -> Message {
        Message {
            role: self.role.clone(),
            parts: vec![Part::Shared(self.content.clone())],
        }
    }
}

impl Generate for Trace {
    fn check(&self) -> Result<(), ConfigError> {
        let zero = "must be greater than zero";
        ConfigError::first(&[
            (!(self.speed > 0.0 && self.speed.is_finite()), "speed", zero),
            (self.block_len == 0, "block_len", zero),
            (self.turns == 0, "turns", zero),
            (self.requests == Some(0), "requests", zero),
            (self.max_input_len == Some(0), "max_input_len", zero),
            (self.max_output_len == Some(0), "max_output_len", zero),
        ])
    }

    fn check_tokenizer(&self, tokenizer: &str) -> Result<(), &'static str> {
        if tokenizer == TextOptions::ENGINE && self.has_texts() {
            return Err(
                "cannot be \"engine\" for a trace with texts: they are counted before any engine runs",
            );
        }
        Ok(())
    }

    fn default_gap_s(&self) -> Option<f64> {
        let is_timed = self.rows.iter().all(|row| row.at_s.is_some());
        (!is_timed).then_some(1.0)
    }

    fn own_count(&self) -> Option<(&'static str, u64)> {
        Some((
            "the trace",
            self.rows.iter().filter(|row| row.is_free()).count() as u64,
        ))
    }

    fn count(&self, _: u64) -> u64 {
        self.rows.len() as u64
    }

    fn fixes_lengths(&self) -> bool {
        true
    }

    fn generate(&self, plan: &mut Plan) {
        for (number, row) in self.rows.iter().enumerate() {
            let continues = matches!(
                row.prompt,
                TracePrompt::Said {
                    continues: true,
                    ..
                }
            );
            let wait_s = row.wait_s.map_or(0.0, |wait_s| wait_s / self.speed);
            plan.requests.push(Request {
                timestamp: row.is_free().then(|| row.at_s.unwrap_or(0.0)),
                after: row.before.map(|request| After {
                    request,
                    wait_s,
                    continues,
                }),
                session: row
                    .before
                    .map_or(number as u64, |before| plan.requests[before].session),
                turn: row
                    .before
                    .map_or(0, |before| plan.requests[before].turn + 1),
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
