//! One request and its streamed answer, with the times of its events.

pub use super::socket::Arrival;

use super::answer_memory::AnswerMemory;
use super::connection::Connection;
use super::delta::{self, Usage};
use super::drive::drive;
use super::failure::Failure;
use super::reader::Reader;
use super::socket::SocketStamps;
use super::stalls::StallEffect;
use super::target::{StreamEnd, Target};
use super::timeouts::RequestTimeout;
use super::tokens::ChunkTokens;
use crate::driver::clock::Stamp;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::HeaderMap;
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::sync::watch;

/// The record of one request. The time of an event that did not happen is `None`.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// The time at which the request was written to the socket.
    pub sent: Option<Stamp>,
    /// The arrival of the response headers.
    pub headers: Option<Arrival>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The arrival of the first event with a choice, even if it has only the role.
    pub first_chunk: Option<Arrival>,
    /// The arrival of the first non-empty output: content, reasoning or tool call.
    pub first_token: Option<Arrival>,
    /// The arrival of the first non-empty content.
    pub first_answer: Option<Arrival>,
    /// The arrivals of all chunks of output.
    pub chunks: Vec<Stamp>,
    /// The number of tokens of each chunk, if the server reports it.
    pub chunk_tokens: ChunkTokens,
    /// The arrival of the end of the stream.
    pub done: Option<Arrival>,
    /// The time at which the request ended, with or without an answer.
    pub ended: Option<Stamp>,
    /// The reason for the end of the generation.
    pub finish_reason: Option<String>,
    /// The token counts.
    pub usage: Option<Usage>,
    /// The text of the answer, if it is kept.
    pub text: String,
    /// The longest time that received bytes waited in the socket, seconds.
    pub read_lag_s: f64,
    /// The effect of the sending thread's stalls.
    pub stalled: StallEffect,
    /// True if the request had to wait for its connection.
    pub connected_late: bool,
    /// True if the request was sent again on a new connection, because the server had closed the
    /// first one before an answer.
    pub resent: bool,
    /// The reason why there is no complete answer.
    pub failure: Option<Failure>,
}

/// A request that is ready to be sent.
pub(super) struct PreparedRequest {
    /// The `x-request-id`.
    pub(super) request_id: String,
    /// The body.
    pub(super) body: Bytes,
    /// The maximum number of tokens of its answer, if it is known.
    pub(super) max_tokens: Option<u64>,
}

impl Exchange {
    /// Creates the record of a request that was not sent.
    pub(super) fn failed(failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }

    /// Returns its approximate memory without the fixed part, bytes.
    fn bytes(&self) -> usize {
        // A chunk has its stamp, and its token count if the server reports it.
        2 * size_of::<Stamp>() * self.chunks.capacity() + self.text.capacity()
    }

    /// Returns the stamps of chunks that were read with the chunk before them: both have one stamp.
    pub fn joined(&self) -> impl Iterator<Item = Stamp> {
        self.chunks
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .map(|pair| pair[1])
    }

    /// Returns true if the stream has ended, with output.
    fn is_complete(&self) -> bool {
        self.done.is_some() && !self.chunks.is_empty()
    }

    /// Returns true if the connection closed at once, before the first byte of an answer.
    pub(super) fn is_unanswered(&self) -> bool {
        const AT_ONCE_S: f64 = 1.0;
        self.headers.is_none()
            && matches!(self.failure, Some(Failure::Broken { chunks: 0, .. }))
            && self
                .sent
                .is_none_or(|sent| Stamp::now().since_s(sent) < AT_ONCE_S)
    }
}

/// One attempt to send a request and read its answer.
pub(super) struct Attempt<'a> {
    /// The target.
    pub(super) target: &'a Target,
    /// The request.
    pub(super) request: &'a PreparedRequest,
    /// The time limits.
    pub(super) timeout: &'a RequestTimeout,
}

impl Attempt<'_> {
    /// Sends the request over `connection`, and reads the answer to its end or its failure.
    ///
    /// The result is `true` beside the exchange if the connection can be used again.
    pub(super) async fn run(&self, connection: &mut Connection) -> (Exchange, bool) {
        let mut exchange = Exchange::default();
        let Connection {
            sender,
            driver,
            stamps,
        } = connection;
        stamps.reset();
        let attempt = self.send_and_read(sender, stamps, &mut exchange);
        let outcome = drive(driver, self.timeout.limit(attempt)).await;
        exchange.sent = exchange.sent.or(stamps.first_write.get());
        let is_reusable = outcome.is_ok();
        // After the end of the stream only the connection can fail.
        exchange.failure = outcome
            .err()
            .filter(|failure| !(exchange.is_complete() && failure.is_of_connection()));
        (exchange, is_reusable)
    }

    async fn send_and_read(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        stamps: &SocketStamps,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        let response = sender
            .send_request(self.post()?)
            .await
            .map_err(|e| broken(&e, 0))?;
        let status = response.status().as_u16();
        exchange.sent = stamps.first_write.get();
        exchange.headers = stamps.last_read.get();
        exchange.status = Some(status);
        let (head, mut incoming) = response.into_parts();
        if status != 200 {
            return Err(status_failure(status, &head.headers, incoming).await);
        }
        let mut reader = Reader::new(self.target.text_policy);
        let mut memory = AnswerMemory::new(self.request.max_tokens);
        let mut start = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|e| broken(&e, exchange.chunks.len()))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let arrival = arrival_of(stamps);
            exchange.read_lag_s = exchange.read_lag_s.max(arrival.lag_s());
            reader.feed(data, arrival, exchange)?;
            self.timeout.received(arrival.read, exchange.chunks.len());
            memory.check(exchange.chunks.len(), reader.held() + exchange.bytes())?;
            stamps
                .small_reads
                .set(exchange.chunks.is_empty() && reader.held() < MAX_MESSAGE_BODY);
            if !reader.has_events() && start.len() < MAX_MESSAGE_BODY {
                start.extend_from_slice(data);
            }
        }
        reader.finish(arrival_of(stamps), exchange)?;
        if self.target.end == StreamEnd::FinishReason && exchange.finish_reason.is_some() {
            exchange.done = exchange.done.or(stamps.last_read.get());
        }
        if exchange.is_complete() {
            Ok(())
        } else if exchange.done.is_none() && !reader.has_events() {
            Err(not_stream(&head.headers, &start))
        } else {
            Err(incomplete(exchange, &reader))
        }
    }

    fn post(&self) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::post(&self.target.path)
            .header("host", &self.target.authority)
            .header("content-type", "application/json")
            .header("accept", "text/event-stream")
            .header("accept-encoding", "identity")
            .header("x-request-id", &self.request.request_id);
        for (name, value) in &self.target.headers {
            request = request.header(name, value);
        }
        request
            .body(Full::new(self.request.body.clone()))
            .map_err(|e| Failure::Aborted {
                reason: format!("invalid request: {e}"),
            })
    }
}

/// Waits until the requests of a target must be aborted.
pub(super) async fn aborted(abort: &mut watch::Receiver<Option<String>>) -> Failure {
    if let Ok(reason) = abort.wait_for(Option::is_some).await
        && let Some(reason) = reason.clone()
    {
        return Failure::Aborted { reason };
    }
    // The sender was dropped, so they cannot be aborted any more.
    std::future::pending().await
}

/// Returns the failure of a connection that broke after this number of chunks.
fn broken(error: &hyper::Error, chunks: usize) -> Failure {
    let reason = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    Failure::Broken { chunks, reason }
}

/// Returns the reason why a stream of events that has ended is not complete.
fn incomplete(exchange: &Exchange, reader: &Reader) -> Failure {
    let chunks = exchange.chunks.len();
    if let (None, Some(first)) = (exchange.first_chunk, reader.first_unknown()) {
        return Failure::OtherApi {
            first: first.into(),
        };
    }
    if exchange.done.is_some() {
        Failure::Empty
    } else if exchange.finish_reason.is_some() {
        Failure::OnlyFinished { chunks }
    } else {
        Failure::NoDone { chunks }
    }
}

/// Returns the failure of a body without an event.
fn not_stream(headers: &HeaderMap, body: &[u8]) -> Failure {
    let kind = header(headers, "content-type").unwrap_or_else(|| "no content-type".into());
    let encoding = header(headers, "content-encoding").filter(|encoding| encoding != "identity");
    let message = match encoding {
        Some(encoding) => format!("it is encoded as {encoding}, but `identity` was requested"),
        None if body.trim_ascii().is_empty() => "it is empty".into(),
        None => delta::error_message(body),
    };
    Failure::NotStream { kind, message }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .map(|value| delta::excerpt(value.as_bytes()))
}

/// Returns the arrival of the last read.
fn arrival_of(stamps: &SocketStamps) -> Arrival {
    stamps.last_read.get().unwrap_or_else(|| Arrival {
        kernel: None,
        read: Stamp::now(),
    })
}

/// The number of bytes of a body that are searched for the server's message.
const MAX_MESSAGE_BODY: usize = 64 * 1024;

/// Returns the failure of a request with a status other than 200, with the server's message.
async fn status_failure(status: u16, headers: &HeaderMap, incoming: Incoming) -> Failure {
    if let (300..400, Some(location)) = (status, header(headers, "location")) {
        let (base, _) = location.split_once("/v1/").unwrap_or((&location, ""));
        let message =
            format!("redirect to `{base}`: set `url` (`lmrun load`: `--url`) to that address");
        return Failure::Status { status, message };
    }
    let limited = http_body_util::Limited::new(incoming, MAX_MESSAGE_BODY);
    let body = match limited.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let mut message = delta::error_message(&body);
    if let Some(time) = header(headers, "retry-after") {
        message = format!("{message} (Retry-After: {time})");
    }
    Failure::Status { status, message }
}
