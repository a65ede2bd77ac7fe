//! Tests with servers whose answers, over a socket, differ from the API.

use super::connection::Pool;
use super::exchange::{Ask, Exchange, exchange};
use super::guard::Guards;
use super::target::{Limits, StreamEnd, Target};
use crate::driver::address::Scheme;
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

/// Sends one request to a server that reads it, answers with `answer` and closes.
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
    let (_give_up, abort) = watch::channel(None);
    let target = Target {
        scheme: Scheme::Http,
        end,
        authority,
        path: "/v1/chat/completions".into(),
        headers: [("x-key".to_owned(), "a".to_owned())].into(),
        limits: Limits {
            first_token_s: 5.0,
            between_chunks_s: 5.0,
            ..Limits::default()
        },
        keep_text: false,
        keeps_alive: Arc::new(AtomicBool::new(true)),
        abort,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let seen = LocalSet::new().block_on(&runtime, async {
        let (guards, pool) = (Guards::start(), Pool::new(Arc::default()));
        let mut connection = pool.connect(&target).await.expect("a connection");
        let guard = guards.over(&target);
        let (request_id, body) = ("id".into(), Bytes::from_static(b"{}"));
        let ask = Ask {
            request_id,
            body,
            max_tokens: None,
        };
        exchange(&mut connection, &target, &ask, &guard).await.0
    });
    let request = server.join().expect("the server");
    assert!(
        request.contains("accept-encoding: identity\r\n"),
        "{request}"
    );
    seen
}

/// A 200 with these headers and this body, whose end is the end of the connection.
fn body(headers: &str, body: impl AsRef<[u8]>) -> Exchange {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}connection: close\r\n\r\n");
    answered(&[head.as_bytes(), body.as_ref()].concat(), StreamEnd::Done)
}

fn failure(seen: &Exchange) -> String {
    seen.failure
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn assert_whole(seen: &Exchange) {
    assert_eq!(
        (
            failure(seen).as_str(),
            seen.chunks.len(),
            seen.done.is_some()
        ),
        ("", 2, true),
        "{seen:?}"
    );
}

const JSON: &str = "content-type: application/json\r\n";
const STREAM: &str = "content-type: text/event-stream\r\n";

#[test]
fn an_answer_that_is_no_stream_is_told_with_what_came() {
    let whole = r#"{"choices":[{"message":{"content":"a"}}]}"#;
    let gzip = format!("{STREAM}content-encoding: gzip\r\n");
    for (headers, sent, told) in [
        (
            JSON,
            r#"{"error":{"message":"model is loading"}}"#,
            "(application/json): model is loading",
        ),
        (
            JSON,
            whole,
            r#"(application/json): one whole answer, as if `stream` were not true: `{"choices":[{"#,
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
            "(text/event-stream): it is encoded as gzip, though `identity` was asked for",
        ),
    ] {
        let seen = body(headers, sent);
        let text = failure(&seen);
        let told = format!("the answer is not a stream of events {told}");
        assert!(text.starts_with(&told), "{text}, expected {told}");
    }
}

#[test]
fn another_api_is_told_by_its_first_event() {
    let sent =
        "event: message_start\ndata: {\"type\":\"message_start\"}\n\ndata: {\"type\":\"stop\"}\n\n";
    let told = "the answer has no event of the API; the first is `{\"type\":\"message_start\"}`";
    assert_eq!(failure(&body(STREAM, sent)), told);
    assert_eq!(
        failure(&body(STREAM, format!("{sent}data: [DONE]\n\n"))),
        told
    );
}

#[test]
fn done_counts_however_its_line_ends() {
    for done in [
        "data: [DONE] \n\n",
        "data: [DONE]\n",
        "data: [DONE]",
        "data:[DONE]\r\n",
    ] {
        let seen = body(STREAM, format!("{A}{LAST}{USAGE}{done}"));
        assert_whole(&seen);
        assert_eq!(seen.usage.expect("the usage").completion_tokens, Some(2));
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

/// The first token of a completion is in the first event, behind the mark.
#[test]
fn a_byte_order_mark_costs_no_token() {
    assert_whole(&body(STREAM, format!("\u{feff}{A}{LAST}data: [DONE]\n\n")));
}

#[test]
fn a_connection_that_breaks_behind_done_costs_nothing() {
    let stream = format!("{A}{LAST}data: [DONE]\n\n");
    for end in ["", "5\r\nda"] {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = format!("{head}{:x}\r\n{stream}\r\n{end}", stream.len());
        assert_whole(&answered(answer.as_bytes(), StreamEnd::Done));
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
fn a_stream_that_ends_with_its_finish_reason_is_told_by_the_option_that_takes_it() {
    let stream = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{A}{LAST}");
    let text = failure(&answered(stream.as_bytes(), StreamEnd::Done));
    assert!(
        text.ends_with("if this server ends so, set `stream_end` to `finish_reason`"),
        "{text}"
    );
    assert_whole(&answered(stream.as_bytes(), StreamEnd::FinishReason));
}

#[test]
fn pings_are_passed_over_and_errors_are_the_engines() {
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    assert_whole(&body(
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
fn a_redirect_is_told_with_the_address_to_give() {
    for (location, told) in [
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
                "HTTP 307: answers are at `{told}`: give that as `url` (`lmrun load`: `--url`)"
            )
        );
    }
}
