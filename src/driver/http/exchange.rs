//! One request and its streamed answer, every moment of it stamped.

pub use super::socket::Arrival;

use super::connection::Connection;
use super::delta::{self, Delta, Event, Shape, Usage};
use super::drive::drive;
use super::failure::Failure;
use super::guard::Guard;
use super::socket::Marks;
use super::sse::Splitter;
use super::target::{StreamEnd, Target};
use crate::driver::clock::Stamp;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::HeaderValue;
use tokio::sync::watch;

/// What was seen of one request. A moment that never came is `None`.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// When the request was handed to the socket.
    pub sent: Option<Stamp>,
    /// When the response headers arrived.
    pub headers: Option<Arrival>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The first event with a choice, be it only the role.
    pub first_chunk: Option<Arrival>,
    /// The first non-empty output: content, reasoning or tool call.
    pub first_token: Option<Arrival>,
    /// The first non-empty content.
    pub first_answer: Option<Arrival>,
    /// Every chunk of output.
    pub chunks: Vec<Stamp>,
    /// The end of the stream.
    pub done: Option<Arrival>,
    /// Why the generation ended.
    pub finish_reason: Option<String>,
    /// The token counts.
    pub usage: Option<Usage>,
    /// The text, where it was asked for.
    pub text: String,
    /// The longest that received bytes lay in the socket, seconds.
    pub read_lag_s: f64,
    /// Whether the request had to wait for its connection.
    pub connected_late: bool,
    /// Whether it was sent again, on a new connection, because the server had closed the first
    /// before any answer.
    pub resent: bool,
    /// Why there is no complete answer.
    pub failure: Option<Failure>,
}

impl Exchange {
    /// Whether the connection ended at once, before a byte of an answer.
    pub fn is_unanswered(&self) -> bool {
        const AT_ONCE_S: f64 = 1.0;
        self.headers.is_none()
            && matches!(self.failure, Some(Failure::Broken { chunks: 0, .. }))
            && self.sent.is_none_or(|sent| Stamp::now().since_s(sent) < AT_ONCE_S)
    }
}

/// Sends `body` over `connection` and reads the answer to its end or its failure.
///
/// `true` beside the exchange means that the connection can serve again.
pub async fn exchange(
    connection: &mut Connection,
    target: &Target,
    request_id: &str,
    body: Bytes,
    guard: &Guard,
) -> (Exchange, bool) {
    let mut seen = Exchange::default();
    let Connection { sender, driver, marks } = connection;
    marks.arm();
    let attempt = attempt(sender, marks, target, request_id, body, guard, &mut seen);
    let outcome = drive(driver, guard.watch(attempt)).await;
    seen.sent = seen.sent.or(marks.first_write.get());
    let reusable = outcome.is_ok();
    seen.failure = outcome.err();
    (seen, reusable)
}

/// Resolves when the target's requests are to be given up.
pub async fn aborted(abort: &mut watch::Receiver<Option<String>>) -> Failure {
    let reason = match abort.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or_default(),
        // Nobody can abort any more: never resolve.
        Err(_) => return std::future::pending().await,
    };
    Failure::Aborted { reason }
}

async fn attempt(
    sender: &mut SendRequest<Full<Bytes>>,
    marks: &Marks,
    target: &Target,
    request_id: &str,
    body: Bytes,
    guard: &Guard,
    seen: &mut Exchange,
) -> Result<(), Failure> {
    let broken = |chunks: usize| move |e: hyper::Error| Failure::Broken { chunks, reason: reason_of(&e) };
    let request = post(target, request_id, body)?;
    let response = sender.send_request(request).await.map_err(broken(0))?;
    seen.sent = marks.first_write.get();
    seen.headers = marks.last_read.get();
    seen.status = Some(response.status().as_u16());
    let retry_after = response.headers().get("retry-after").cloned();
    let mut incoming = response.into_body();
    if seen.status != Some(200) {
        return Err(refusal(seen.status.unwrap_or_default(), retry_after, incoming).await);
    }
    let mut splitter = Splitter::default();
    let mut shape = Shape::default();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(broken(seen.chunks.len()))?;
        let Some(data) = frame.data_ref() else { continue };
        let arrival = arrival_of(marks);
        seen.read_lag_s = seen.read_lag_s.max(arrival.lag_s());
        splitter.feed(data, |event| take(event, arrival, target.keep_text, &mut shape, seen))?;
        guard.received(arrival.read, seen.chunks.len());
        if !seen.chunks.is_empty() {
            marks.small_reads.set(false);
        }
    }
    if target.end == StreamEnd::FinishReason && seen.finish_reason.is_some() {
        seen.done = seen.done.or(marks.last_read.get());
    }
    match (seen.done, seen.chunks.len()) {
        (None, chunks) => Err(Failure::NoDone { chunks }),
        (Some(_), 0) => Err(Failure::Empty),
        _ => Ok(()),
    }
}

fn arrival_of(marks: &Marks) -> Arrival {
    marks.last_read.get().unwrap_or_else(|| Arrival { kernel: None, read: Stamp::now() })
}

fn post(target: &Target, request_id: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
    let mut request = Request::post(&target.path)
        .header("host", &target.authority)
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .header("x-request-id", request_id);
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(body)).map_err(|e| Failure::Aborted { reason: format!("not a request: {e}") })
}

/// Notes one event.
pub(super) fn take(
    event: &[u8],
    arrival: Arrival,
    keep_text: bool,
    shape: &mut Shape,
    seen: &mut Exchange,
) -> Result<(), Failure> {
    if seen.first_answer.is_some() && !keep_text && shape.is_plain_content(event) {
        seen.chunks.push(arrival.at());
        return Ok(());
    }
    match delta::read(event, keep_text) {
        Event::Done => seen.done = Some(arrival),
        Event::Delta(delta) => take_delta(delta, arrival, seen),
        Event::Error(message) => {
            return Err(Failure::InStream { message: delta::excerpt(message.as_bytes()) });
        }
        Event::Invalid(message) => return Err(Failure::Invalid { message }),
    }
    Ok(())
}

fn take_delta(delta: Delta, arrival: Arrival, seen: &mut Exchange) {
    if delta.choice {
        seen.first_chunk.get_or_insert(arrival);
    }
    if delta.output {
        seen.first_token.get_or_insert(arrival);
        seen.chunks.push(arrival.at());
    }
    if delta.answer {
        seen.first_answer.get_or_insert(arrival);
    }
    seen.text.push_str(&delta.text.unwrap_or_default());
    seen.usage = delta.usage.or(seen.usage);
    let reason = delta.finish_reason.map(|reason| delta::excerpt(reason.as_bytes()));
    seen.finish_reason = reason.or(seen.finish_reason.take());
}

/// The failure that a refused request is, with the server's own words.
async fn refusal(status: u16, retry_after: Option<HeaderValue>, incoming: Incoming) -> Failure {
    const SHOWN: usize = 64 * 1024;
    let limited = http_body_util::Limited::new(incoming, SHOWN);
    let body = limited.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let message = match serde_json::from_slice(&body) {
        Ok(json) => delta::excerpt(delta::error_text(&json).as_bytes()),
        Err(_) => delta::excerpt(&body),
    };
    let when = retry_after.map(|when| format!(" (Retry-After: {})", delta::excerpt(when.as_bytes())));
    Failure::Status { status, message: format!("{message}{}", when.unwrap_or_default()) }
}

/// hyper's error with the system's reason at its end.
fn reason_of(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
