//! One request and its streamed answer, every moment of it stamped.

pub use super::socket::Arrival;

use super::connection::Connection;
use super::delta::{self, Usage};
use super::drive::drive;
use super::failure::Failure;
use super::guard::Guard;
use super::reader::Reader;
use super::room::Room;
use super::socket::Marks;
use super::stalls::Stalled;
use super::target::{StreamEnd, Target};
use super::tokens::ChunkTokens;
use crate::driver::clock::Stamp;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::HeaderMap;
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
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
    /// How many tokens each had, where the server tells.
    pub chunk_tokens: ChunkTokens,
    /// The end of the stream.
    pub done: Option<Arrival>,
    /// The time at which it ended, with an answer or not.
    pub ended: Option<Stamp>,
    /// Why the generation ended.
    pub finish_reason: Option<String>,
    /// The token counts.
    pub usage: Option<Usage>,
    /// The text, where it was asked for.
    pub text: String,
    /// The longest that received bytes lay in the socket, seconds.
    pub read_lag_s: f64,
    /// The effect of the sending thread's stalls on it.
    pub stalled: Stalled,
    /// Whether the request had to wait for its connection.
    pub connected_late: bool,
    /// Whether it was sent again, on a new connection, because the server had closed the first
    /// before any answer.
    pub resent: bool,
    /// Why there is no complete answer.
    pub failure: Option<Failure>,
}

/// One request as it is sent.
pub struct Ask {
    /// The `x-request-id`.
    pub request_id: String,
    /// The body.
    pub body: Bytes,
    /// The tokens that its answer may have; `None` if that is not known.
    pub max_tokens: Option<u64>,
}

impl Exchange {
    /// The approximate memory that it takes, without its fixed part, bytes.
    fn bytes(&self) -> usize {
        // A chunk has its stamp, and its count of tokens where the server tells it.
        2 * size_of::<Stamp>() * self.chunks.capacity() + self.text.capacity()
    }

    /// The moments of chunks that were read together with the one before: both have one stamp.
    pub fn joined(&self) -> impl Iterator<Item = Stamp> {
        self.chunks
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .map(|pair| pair[1])
    }

    /// Returns true if `[DONE]` came, and output before it.
    fn is_whole(&self) -> bool {
        self.done.is_some() && !self.chunks.is_empty()
    }

    /// Whether the connection ended at once, before a byte of an answer.
    pub fn is_unanswered(&self) -> bool {
        const AT_ONCE_S: f64 = 1.0;
        self.headers.is_none()
            && matches!(self.failure, Some(Failure::Broken { chunks: 0, .. }))
            && self
                .sent
                .is_none_or(|sent| Stamp::now().since_s(sent) < AT_ONCE_S)
    }
}

/// Sends what is asked over `connection` and reads the answer to its end or its failure.
///
/// `true` beside the exchange means that the connection can serve again.
pub async fn exchange(
    connection: &mut Connection,
    target: &Target,
    ask: &Ask,
    guard: &Guard,
) -> (Exchange, bool) {
    let mut seen = Exchange::default();
    let Connection {
        sender,
        driver,
        marks,
    } = connection;
    marks.arm();
    let attempt = attempt(sender, marks, target, ask, guard, &mut seen);
    let outcome = drive(driver, guard.watch(attempt)).await;
    seen.sent = seen.sent.or(marks.first_write.get());
    let reusable = outcome.is_ok();
    // After `[DONE]` only the connection can fail.
    seen.failure = outcome
        .err()
        .filter(|failure| !(seen.is_whole() && failure.is_of_connection()));
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
    ask: &Ask,
    guard: &Guard,
    seen: &mut Exchange,
) -> Result<(), Failure> {
    let broken = |chunks: usize| {
        move |e: hyper::Error| Failure::Broken {
            chunks,
            reason: reason_of(&e),
        }
    };
    let request = post(target, &ask.request_id, ask.body.clone())?;
    let response = sender.send_request(request).await.map_err(broken(0))?;
    seen.sent = marks.first_write.get();
    seen.headers = marks.last_read.get();
    seen.status = Some(response.status().as_u16());
    let (head, mut incoming) = response.into_parts();
    if seen.status != Some(200) {
        return Err(refusal(seen.status.unwrap_or_default(), &head.headers, incoming).await);
    }
    let mut reader = Reader::new(target.keep_text);
    let mut room = Room::new(ask.max_tokens);
    let mut start = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(broken(seen.chunks.len()))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let arrival = arrival_of(marks);
        seen.read_lag_s = seen.read_lag_s.max(arrival.lag_s());
        reader.feed(data, arrival, seen)?;
        guard.received(arrival.read, seen.chunks.len());
        room.check(seen.chunks.len(), reader.held() + seen.bytes())?;
        marks
            .small_reads
            .set(seen.chunks.is_empty() && reader.held() < BODY_LOOKED_AT);
        if !reader.has_events() && start.len() < BODY_LOOKED_AT {
            start.extend_from_slice(data);
        }
    }
    reader.finish(arrival_of(marks), seen)?;
    if target.end == StreamEnd::FinishReason && seen.finish_reason.is_some() {
        seen.done = seen.done.or(marks.last_read.get());
    }
    if seen.is_whole() {
        Ok(())
    } else {
        Err(incomplete(seen, &reader, &head.headers, &start))
    }
}

/// Returns the reason why an answer that has ended is not complete. `start` is its beginning, up to its first
/// event.
fn incomplete(seen: &Exchange, reader: &Reader, headers: &HeaderMap, start: &[u8]) -> Failure {
    let chunks = seen.chunks.len();
    match (seen.done, reader.unknown()) {
        (None, _) if !reader.has_events() => not_stream(headers, start),
        (_, Some(first)) if seen.first_chunk.is_none() => Failure::OtherApi {
            first: first.into(),
        },
        (Some(_), _) => Failure::Empty,
        (None, _) if seen.finish_reason.is_some() => Failure::OnlyFinished { chunks },
        (None, _) => Failure::NoDone { chunks },
    }
}

fn not_stream(headers: &HeaderMap, body: &[u8]) -> Failure {
    let kind = header(headers, "content-type").unwrap_or_else(|| "no content-type".into());
    let encoding = header(headers, "content-encoding").filter(|encoding| encoding != "identity");
    let message = match encoding {
        Some(encoding) => format!("it is encoded as {encoding}, though `identity` was asked for"),
        None if body.trim_ascii().is_empty() => "it is empty".into(),
        None => delta::error_of(body),
    };
    Failure::NotStream { kind, message }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .map(|value| delta::excerpt(value.as_bytes()))
}

fn arrival_of(marks: &Marks) -> Arrival {
    marks.last_read.get().unwrap_or_else(|| Arrival {
        kernel: None,
        read: Stamp::now(),
    })
}

fn post(target: &Target, request_id: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
    let mut request = Request::post(&target.path)
        .header("host", &target.authority)
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .header("accept-encoding", "identity")
        .header("x-request-id", request_id);
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(body)).map_err(|e| Failure::Aborted {
        reason: format!("not a request: {e}"),
    })
}

/// The number of bytes of a body that are searched for the server's message.
const BODY_LOOKED_AT: usize = 64 * 1024;

/// The failure that a refused request is, with the server's own words.
async fn refusal(status: u16, headers: &HeaderMap, incoming: Incoming) -> Failure {
    if let (300..400, Some(location)) = (status, header(headers, "location")) {
        let base = location.split("/v1/").next().unwrap_or_default();
        let message =
            format!("answers are at `{base}`: give that as `url` (`lmrun load`: `--url`)");
        return Failure::Status { status, message };
    }
    let limited = http_body_util::Limited::new(incoming, BODY_LOOKED_AT);
    let body = limited
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let message = delta::error_of(&body);
    let when = header(headers, "retry-after").map(|when| format!(" (Retry-After: {when})"));
    Failure::Status {
        status,
        message: format!("{message}{}", when.unwrap_or_default()),
    }
}

/// hyper's error with the system's reason at its end.
fn reason_of(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
