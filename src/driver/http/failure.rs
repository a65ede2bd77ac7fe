//! The failures of requests.

use super::sse::{EventTooLong, MAX_EVENT};
use thiserror::Error;

/// The reason why a request has no complete answer.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Failure {
    /// The connection could not be opened.
    #[error("cannot connect to {authority}: {reason}")]
    Connect {
        /// The host and port, as `host:port`.
        authority: String,
        /// The system's message.
        reason: String,
    },
    /// An HTTP status other than 200.
    #[error("HTTP {status}: {message}")]
    Status {
        /// The status.
        status: u16,
        /// The server's message.
        message: String,
    },
    /// A time limit was reached.
    #[error("no {what} within {limit_s} s, {chunks} chunks in")]
    Timeout {
        /// The missing part of the answer.
        what: &'static str,
        /// The time limit, seconds.
        limit_s: f64,
        /// The number of chunks of output received until then.
        chunks: usize,
    },
    /// The connection broke.
    #[error("the connection broke after {chunks} chunks: {reason}")]
    Broken {
        /// The number of chunks of output received until then.
        chunks: usize,
        /// The system's message.
        reason: String,
    },
    /// The stream ended before `[DONE]`.
    #[error("the stream ended without [DONE], {chunks} chunks in")]
    NoDone {
        /// The number of chunks of output received until then.
        chunks: usize,
    },
    /// The stream ended after its finish reason, as some servers do.
    #[error(
        "the stream ended without [DONE], {chunks} chunks in, after its finish reason: if this \
         server always does that, set `stream_end` to `finish_reason`"
    )]
    OnlyFinished {
        /// The number of chunks of output received until then.
        chunks: usize,
    },
    /// The body of the answer has no server-sent event.
    #[error("the answer is not a stream of events ({kind}): {message}")]
    NotStream {
        /// Its content type and encoding.
        kind: String,
        /// The server's message, or the start of the body.
        message: String,
    },
    /// The body has server-sent events, but of another API.
    #[error("the answer has no event of the API; the first is `{first}`")]
    OtherApi {
        /// The start of its first event.
        first: String,
    },
    /// An error event in the stream.
    #[error("the engine reported in its stream: {message}")]
    InStream {
        /// The server's message.
        message: String,
    },
    /// An event that does not match the API.
    #[error("not an event of the API: {message}")]
    Invalid {
        /// The problem.
        message: String,
    },
    /// The stream was complete, but nothing was generated.
    #[error("the answer is empty")]
    Empty,
    /// The request was not sent, because one that it depends on has failed.
    #[error("not sent: {reason}")]
    Unsent {
        /// The reason.
        reason: String,
    },
    /// The request was aborted by this program.
    #[error("{reason}")]
    Aborted {
        /// The reason.
        reason: String,
    },
}

impl Failure {
    /// Returns true if the connection failed or was closed by lmrun, but not the answer itself.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Self::Broken { .. } | Self::Timeout { .. } | Self::Aborted { .. }
        )
    }
}

impl From<EventTooLong> for Failure {
    fn from(_: EventTooLong) -> Self {
        Self::Invalid {
            message: format!("an event of over {} MiB", MAX_EVENT >> 20),
        }
    }
}
