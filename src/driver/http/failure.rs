//! Why a request has no complete answer.

use super::sse::{EVENT_LIMIT, TooLong};
use thiserror::Error;

/// Why a request has no complete answer.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Failure {
    /// No connection.
    #[error("cannot connect to {authority}: {reason}")]
    Connect {
        /// `host:port`.
        authority: String,
        /// What the system said.
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
    /// A limit was reached.
    #[error("no {what} within {limit_s} s, {chunks} chunks in")]
    Timeout {
        /// What did not come.
        what: &'static str,
        /// The limit, seconds.
        limit_s: f64,
        /// Chunks of output received until then.
        chunks: usize,
    },
    /// The connection broke.
    #[error("the connection broke after {chunks} chunks: {reason}")]
    Broken {
        /// Chunks of output received until then.
        chunks: usize,
        /// What the system said.
        reason: String,
    },
    /// The stream ended before `[DONE]`.
    #[error("the stream ended without [DONE], {chunks} chunks in")]
    NoDone {
        /// Chunks of output received until then.
        chunks: usize,
    },
    /// The stream ended after its finish reason, as those of some servers do.
    #[error(
        "the stream ended without [DONE], {chunks} chunks in, after its finish reason: if this server \
         ends so, set `stream_end` to `finish_reason`"
    )]
    OnlyFinished {
        /// Chunks of output received until then.
        chunks: usize,
    },
    /// The body of the answer holds no server-sent event.
    #[error("the answer is not a stream of events ({kind}): {message}")]
    NotStream {
        /// Its content type and encoding.
        kind: String,
        /// The server's message, or what the body begins with.
        message: String,
    },
    /// The body holds server-sent events, but of another API.
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
    /// An event that is not what the API promises.
    #[error("not an event of the API: {message}")]
    Invalid {
        /// What is wrong with it.
        message: String,
    },
    /// The stream was complete, but nothing was generated.
    #[error("the answer is empty")]
    Empty,
    /// Never sent: what it builds on is missing.
    #[error("not sent: {reason}")]
    Unsent {
        /// Why.
        reason: String,
    },
    /// Given up by this program.
    #[error("{reason}")]
    Aborted {
        /// Why.
        reason: String,
    },
}

impl Failure {
    /// Returns true if the connection failed or was closed by lmrun, and not the answer itself.
    pub fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Self::Broken { .. } | Self::Timeout { .. } | Self::Aborted { .. }
        )
    }
}

impl From<TooLong> for Failure {
    fn from(_: TooLong) -> Self {
        Self::Invalid {
            message: format!("an event of over {} MiB", EVENT_LIMIT >> 20),
        }
    }
}
