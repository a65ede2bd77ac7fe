//! Where requests go, and how long they may take.

use crate::driver::address::Scheme;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

/// Where requests go, and how long they may take.
#[derive(Clone)]
pub struct Target {
    /// Whether through TLS.
    pub scheme: Scheme,
    /// `host:port`.
    pub authority: String,
    /// `/v1/chat/completions`, say.
    pub path: String,
    /// How its streams end.
    pub end: StreamEnd,
    /// Added to every request; an API key may be among them, so that this is not printed.
    pub headers: BTreeMap<String, String>,
    /// When to give a request up.
    pub limits: Limits,
    /// Whether the text of the answer is wanted.
    pub keep_text: bool,
    /// Whether the server leaves connections open behind an answer; cleared when it is seen to
    /// close one.
    pub keeps_alive: Arc<AtomicBool>,
    /// Holds the reason once the requests under way are to be given up.
    pub abort: watch::Receiver<Option<String>>,
}

impl Target {
    /// Who is spoken to, without the port.
    pub fn host(&self) -> &str {
        self.authority
            .rsplit_once(':')
            .map_or(&self.authority, |(host, _)| host)
    }
}

/// Returns true if a request can carry this header.
pub fn is_header(name: &str, value: &str) -> bool {
    HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok()
}

/// What the last event of a complete stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamEnd {
    /// `[DONE]`, as the API promises.
    #[default]
    Done,
    /// One with a finish reason, and then the end.
    FinishReason,
}

/// How long each part of a request may take, seconds. No wait is without a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Connecting.
    pub connect_s: f64,
    /// From the send to the first output: queueing and prefill are in it.
    pub first_token_s: f64,
    /// Between two events of the stream.
    pub between_chunks_s: f64,
    /// The whole request.
    pub total_s: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_s: 10.0,
            first_token_s: 300.0,
            between_chunks_s: 60.0,
            total_s: 900.0,
        }
    }
}
