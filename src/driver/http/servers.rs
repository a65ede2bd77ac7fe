//! Tests with servers whose answers differ from the API.

use super::connection::ConnectionPool;
use super::exchange::{Attempt, Exchange, PreparedRequest};
use super::reader::TextPolicy;
use super::target::{RequestLimits, StreamEnd, Target};
use super::timeouts::Timeouts;
use crate::driver::address::Scheme;
use crate::driver::units::Seconds;
use bytes::Bytes;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;
use tokio::task::LocalSet;

const A: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
const LAST: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7.0,\"completion_tokens\":2.0}}\n\n";

/// Sends one request to a server that reads it, sends `answer` and closes.
fn answered(answer: &[u8], end: StreamEnd) -> Exchange {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let authority = listener.local_addr().expect("its address").to_string();
    let answer = answer.to_vec();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"{}") {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).expect("a request");
            request.extend_from_slice(&piece[..length]);
        }
        stream.write_all(&answer).expect("an answer");
        String::from_utf8(request).expect("text")
    });
    let exchange = send_to(authority, end);
    let request = server.join().expect("the server");
    assert!(
        request.contains("accept-encoding: identity\r\n"),
        "{request}"
    );
    exchange
}

fn send_to(authority: String, end: StreamEnd) -> Exchange {
    let (_abort_sender, abort) = watch::channel(None);
    let target = Target {
        scheme: Scheme::Http,
        end,
        authority,
        path: "/v1/chat/completions".into(),
        headers: [("x-key".to_owned(), "a".to_owned())].into(),
        limits: RequestLimits {
            first_token_s: Seconds(5.0),
            between_chunks_s: Seconds(5.0),
            ..RequestLimits::default()
        },
        text_policy: TextPolicy::Discard,
        keeps_alive: Arc::new(AtomicBool::new(true)),
        abort,
    };
    let request = PreparedRequest {
        request_id: "id".into(),
        body: Bytes::from_static(b"{}"),
        max_tokens: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let timeouts = Timeouts::start();
        let pool = ConnectionPool::new(Arc::default());
        let mut connection = pool.connect(&target).await.expect("a connection");
        let attempt = Attempt {
            target: &target,
            request: &request,
            timeout: &timeouts.add(&target),
        };
        attempt.run(&mut connection).await.0
    })
}

/// Returns the exchange of a 200 with these headers and this body, which ends with the connection.
fn body(headers: &str, body: impl AsRef<[u8]>) -> Exchange {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}connection: close\r\n\r\n");
    answered(&[head.as_bytes(), body.as_ref()].concat(), StreamEnd::Done)
}

fn failure(exchange: &Exchange) -> String {
    match &exchange.failure {
        Some(failure) => failure.to_string(),
        None => String::new(),
    }
}

fn assert_complete(exchange: &Exchange) {
    assert_eq!(exchange.failure, None, "{exchange:?}");
    assert_eq!(exchange.chunks.len(), 2, "{exchange:?}");
    assert!(exchange.done.is_some(), "{exchange:?}");
}

const JSON: &str = "content-type: application/json\r\n";
const STREAM: &str = "content-type: text/event-stream\r\n";

#[test]
fn an_answer_that_is_not_a_stream_is_shown_in_the_failure() {
    let whole = r#"{"choices":[{"message":{"content":"a"}}]}"#;
    let gzip = format!("{STREAM}content-encoding: gzip\r\n");
    for (headers, sent, message) in [
        (
            JSON,
            r#"{"error":{"message":"model is loading"}}"#,
            "(application/json): model is loading",
        ),
        (
            JSON,
            whole,
            r#"(application/json): one whole answer, as if `stream` were false: `{"choices":[{"#,
        ),
        (
            "content-type: text/html; charset=utf-8\r\n",
            "<html>\r\n<head></head>\r\n</html>\r\n",
            "(text/html; charset=utf-8): <html> <head></head> </html>",
        ),
        (
            "content-type: application/x-ndjson\r\n",
            "{\"done\":false}\n{\"done\":true}\n",
            "(application/x-ndjson): {\"done\":false} {\"done\":true}",
        ),
        (STREAM, "", "(text/event-stream): it is empty"),
        (
            "",
            ": only\n\n: comments\n\n",
            "(no content-type): : only : comments",
        ),
        (
            gzip.as_str(),
            "\u{1f}\u{8b}x",
            "(text/event-stream): it is encoded as gzip, but `identity` was requested",
        ),
    ] {
        let text = failure(&body(headers, sent));
        let expected = format!("the answer is not a stream of events {message}");
        assert!(text.starts_with(&expected), "{text}, expected {expected}");
    }
}

#[test]
fn the_first_event_of_another_api_is_shown_in_the_failure() {
    let sent =
        "event: message_start\ndata: {\"type\":\"message_start\"}\n\ndata: {\"type\":\"stop\"}\n\n";
    let expected =
        "the answer has no event of the API; the first is `{\"type\":\"message_start\"}`";
    assert_eq!(failure(&body(STREAM, sent)), expected);
    assert_eq!(
        failure(&body(STREAM, format!("{sent}data: [DONE]\n\n"))),
        expected
    );
}

#[test]
fn done_may_lack_the_end_of_its_line() {
    for done in [
        "data: [DONE] \n\n",
        "data: [DONE]\n",
        "data: [DONE]",
        "data:[DONE]\r\n",
    ] {
        let exchange = body(STREAM, format!("{A}{LAST}{USAGE}{done}"));
        assert_complete(&exchange);
        assert_eq!(
            exchange.usage.expect("the usage").completion_tokens,
            Some(2)
        );
    }
    let cut = body(STREAM, format!("{A}{A}data: {{\"choices\":[{{\"delta\""));
    assert_eq!(
        failure(&cut),
        "the stream ended without [DONE], 2 chunks in"
    );
    let cut = body(STREAM, "data: {\"choi");
    assert_eq!(
        failure(&cut),
        "the stream ended without [DONE], 0 chunks in"
    );
}

/// Puts a byte order mark before the first event, which has the first token of a completion.
#[test]
fn a_byte_order_mark_does_not_hide_the_first_token() {
    assert_complete(&body(STREAM, format!("\u{feff}{A}{LAST}data: [DONE]\n\n")));
}

#[test]
fn a_connection_that_breaks_after_done_is_not_a_failure() {
    let stream = format!("{A}{LAST}data: [DONE]\n\n");
    for end in ["", "5\r\nda"] {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = format!("{head}{:x}\r\n{stream}\r\n{end}", stream.len());
        assert_complete(&answered(answer.as_bytes(), StreamEnd::Done));
    }
    let before = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{A}\r\n",
        A.len()
    );
    let text = failure(&answered(before.as_bytes(), StreamEnd::Done));
    assert!(
        text.starts_with("the connection broke after 1 chunks: "),
        "{text}"
    );
}

#[test]
fn a_stream_that_ends_with_its_finish_reason_needs_the_option_stream_end() {
    let stream = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{A}{LAST}");
    let text = failure(&answered(stream.as_bytes(), StreamEnd::Done));
    assert!(
        text.ends_with("if this server always does that, set `stream_end` to `finish_reason`"),
        "{text}"
    );
    assert_complete(&answered(stream.as_bytes(), StreamEnd::FinishReason));
}

#[test]
fn pings_are_skipped_and_errors_are_failures() {
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    assert_complete(&body(
        STREAM,
        format!("{ping}{A}{ping}{LAST}{ping}data: [DONE]\n\n"),
    ));
    let error = "event: error\ndata: {\"message\":\"out of memory\"}\n\n";
    assert_eq!(
        failure(&body(STREAM, format!("{A}{error}"))),
        "the engine reported in its stream: out of memory"
    );
}

#[test]
fn a_redirect_shows_the_address_to_set() {
    for (location, base) in [
        (
            "https://new.example.com/v1/chat/completions",
            "https://new.example.com",
        ),
        ("/elsewhere", "/elsewhere"),
    ] {
        let answer = format!("HTTP/1.1 307 X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let text = failure(&answered(answer.as_bytes(), StreamEnd::Done));
        assert_eq!(
            text,
            format!(
                "HTTP 307: redirect to `{base}`: set `url` (`lmrun load`: `--url`) to that address"
            )
        );
    }
}
