//! The options of a TRACE workload.

use super::rows::TraceRow;
use crate::core::Seconds;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    pub(super) rows: Vec<TraceRow>,
    /// What was left out of it or changed, and how often.
    #[serde(skip_deserializing)]
    pub notes: BTreeMap<String, u64>,
    /// Where the file could not be read any further, and why.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
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
            broken: None,
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
    pub(super) fn seconds(self, value: f64) -> f64 {
        match self {
            Self::S => value,
            Self::Ms => value / 1e3,
            Self::Us => value / 1e6,
            Self::Ns => value / 1e9,
        }
    }
}
