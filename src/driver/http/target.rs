//! The target of requests, and their time limits.

use super::reader::TextPolicy;
use crate::driver::address::Scheme;
use crate::driver::units::Seconds;
use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

/// The target of requests.
///
/// It must not be printed: its headers may contain an API key.
#[derive(Clone)]
pub struct Target {
    /// The scheme.
    pub scheme: Scheme,
    /// The host and port, as `host:port`.
    pub authority: String,
    /// The path, such as `/v1/chat/completions`.
    pub path: String,
    /// The end of its streams.
    pub end: StreamEnd,
    /// The headers of every request.
    pub headers: BTreeMap<String, String>,
    /// The time limits of a request.
    pub limits: RequestLimits,
    /// Keeps or discards the text of answers.
    pub text_policy: TextPolicy,
    /// True if the server keeps connections open after an answer. Set to false when it closes one.
    pub keeps_alive: Arc<AtomicBool>,
    /// The reason to abort the requests in flight; `None` as long as they go on.
    pub abort: watch::Receiver<Option<String>>,
}

impl Target {
    /// Returns the host without the port.
    pub(super) fn host(&self) -> &str {
        self.authority
            .rsplit_once(':')
            .map_or(&self.authority, |(host, _)| host)
    }
}

/// Returns true if a request can carry this header.
pub fn is_header(name: &str, value: &str) -> bool {
    HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok()
}

/// The last event of a complete stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamEnd {
    /// `[DONE]`, as the API specifies.
    #[default]
    Done,
    /// An event with a finish reason.
    FinishReason,
}

/// The maximum time of each part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestLimits {
    /// From the start of a connection until it is open.
    pub connect_s: Seconds,
    /// From the send to the first output, including queueing and prefill.
    pub first_token_s: Seconds,
    /// Between two events of the stream.
    pub between_chunks_s: Seconds,
    /// From the send to the end of the answer.
    pub total_s: Seconds,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            connect_s: Seconds(10.0),
            first_token_s: Seconds(300.0),
            between_chunks_s: Seconds(60.0),
            total_s: Seconds(900.0),
        }
    }
}
