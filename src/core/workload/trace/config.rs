//! The options of a TRACE workload.

use super::rows::TraceRow;
use crate::core::Seconds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The config of a TRACE workload, and what was read for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Trace {
    /// The file, for the record.
    #[serde(skip_deserializing)]
    pub file: String,
    /// Format: "mooncake", "burstgpt", "azure" or "sharegpt". By default, detected from the
    /// beginning of the file.
    pub format: Option<Format>,
    /// Factor of the replay speed.
    pub speed: f64,
    /// Time in the recording to start at, in seconds.
    pub start_s: Seconds,
    /// Duration of the recording to replay, in seconds.
    pub duration_s: Option<Seconds>,
    /// Maximum number of requests to replay.
    pub requests: Option<u64>,
    /// Maximum tokens of a prompt. Longer prompts are cut; of recorded texts, the end of the last
    /// message of the user is kept.
    pub max_input_len: Option<u64>,
    /// Maximum tokens of an answer. Longer answers are cut.
    pub max_output_len: Option<u64>,
    /// Tokens per hash id of Mooncake.
    pub block_len: u64,
    /// Unit of Mooncake's timestamps: "s", "ms", "us" or "ns". By default, "ms", or "ns" for
    /// timestamps that are strings.
    pub time_unit: Option<TimeUnit>,
    /// Maximum number of questions of each `ShareGPT` conversation.
    pub turns: usize,
    /// The rows that were read.
    #[serde(skip)]
    pub(super) rows: Vec<TraceRow>,
    /// The rows that were skipped or changed, with their counts.
    #[serde(skip_deserializing)]
    pub notes: BTreeMap<String, u64>,
    /// The place and reason at which reading stopped early.
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

/// The format of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
