//! Streamed answers.

use super::client::{TestServer, chat, first_event, joined, quick};
use crate::sim::config::SimConfig;
use crate::sim::fault::Faults;
use crate::sim::timing::Timing;
use crate::sim::tokens::count;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

const RUNNING: &str = "vllm:num_requests_running{engine=\"0\",model_name=\"m\"}";

async fn wait_until_idle(server: &TestServer) {
    let idle = async {
        while server.metric(RUNNING).await > 0.0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), idle).await.unwrap();
}

fn text(events: &[Value]) -> String {
    events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect()
}

#[tokio::test]
async fn chat_stream_has_role_text_usage_and_done() {
    let server = TestServer::start(quick()).await;
    let body = json!({
        "stream": true, "max_tokens": 5, "ignore_eos": true,
        "stream_options": { "include_usage": true },
    });
    let events = server
        .stream(
            "/v1/chat/completions",
            &chat("This is some dummy text. ", &body),
        )
        .await;
    assert_eq!(events.len(), 1 + 5 + 1);
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({ "role": "assistant", "content": "" })
    );
    assert_eq!(events[4]["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(events[5]["choices"][0]["finish_reason"], "length");
    let usage = &events[6]["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(16), &json!(5))
    );

    let (_, whole) = server
        .post(
            "/v1/chat/completions",
            &chat(
                "This is some dummy text. ",
                &json!({
                    "max_tokens": 5, "ignore_eos": true,
                }),
            ),
        )
        .await;
    assert_eq!(whole["choices"][0]["message"]["content"], text(&events));
    assert_eq!(count(&text(&events)), 5);
}

#[tokio::test]
async fn disconnect_aborts_the_request() {
    let server = TestServer::start(quick()).await;
    let body = chat(
        "Hello",
        &json!({ "stream": true, "max_tokens": 30_000, "ignore_eos": true }),
    );
    let mut socket = server
        .open("POST", "/v1/chat/completions", &body.to_string())
        .await;
    first_event(&mut socket).await;
    assert_eq!(server.metric(RUNNING).await as u64, 1);
    drop(socket);
    wait_until_idle(&server).await;
    let aborted =
        "vllm:request_success_total{engine=\"0\",model_name=\"m\",finished_reason=\"abort\"}";
    assert_eq!(server.metric(aborted).await as u64, 1);
}

#[tokio::test]
async fn slow_reader_gets_all_bytes() {
    let timing = Timing {
        itl_s: 0.0,
        ..quick().timing
    };
    let server = TestServer::start(SimConfig { timing, ..quick() }).await;
    let body = chat(
        "Hello",
        &json!({ "stream": true, "max_tokens": 30_000, "ignore_eos": true }),
    );
    let mut socket = server
        .open("POST", "/v1/chat/completions", &body.to_string())
        .await;
    sleep(Duration::from_millis(300)).await;
    let mut answer = String::new();
    timeout(Duration::from_secs(20), socket.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body = joined(body);
    assert_eq!(body.matches("data: {").count(), 30_001);
    assert!(body.ends_with("data: [DONE]\n\n"));
}

/// Returns the choices with this index.
fn choices(events: &[Value], index: u64) -> impl Iterator<Item = &Value> {
    events
        .iter()
        .map(|event| &event["choices"][0])
        .filter(move |choice| choice["index"] == index)
}

#[tokio::test]
async fn stream_interleaves_the_answers_to_several_prompts() {
    let server = TestServer::start(quick()).await;
    let mut body = json!({
        "prompt": ["Hello", "some dummy text."], "n": 2, "max_tokens": 20, "ignore_eos": true,
    });
    let (_, whole) = server.post("/v1/completions", &body).await;
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    let events = server.stream("/v1/completions", &body).await;
    let (usage, parts) = events.split_last().unwrap();
    assert_eq!(parts.len(), 4 * 20);
    for index in 0..4 {
        let text: String = choices(parts, index)
            .map(|choice| choice["text"].as_str().unwrap())
            .collect();
        assert_eq!(
            whole["choices"][index as usize]["text"], text,
            "answer {index}"
        );
        let reasons: Vec<_> = choices(parts, index)
            .map(|choice| &choice["finish_reason"])
            .collect();
        assert_eq!(reasons[19], "length");
        assert!(
            reasons[..19].iter().all(|reason| reason.is_null()),
            "{reasons:?}"
        );
    }
    let end_of_first = parts
        .iter()
        .rposition(|part| part["choices"][0]["index"] == 0)
        .unwrap();
    let start_of_last = parts
        .iter()
        .position(|part| part["choices"][0]["index"] == 3)
        .unwrap();
    assert!(
        start_of_last < end_of_first,
        "the answers are not interleaved"
    );
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(
        (
            &usage["usage"]["prompt_tokens"],
            &usage["usage"]["completion_tokens"]
        ),
        (&json!(7), &json!(80))
    );
}

#[tokio::test]
async fn chat_stream_has_role_and_usage_of_each_of_n_answers() {
    let server = TestServer::start(quick()).await;
    let body = json!({
        "stream": true, "n": 3, "max_tokens": 2, "ignore_eos": true,
        "stream_options": { "include_usage": true, "continuous_usage_stats": true },
    });
    let events = server
        .stream("/v1/chat/completions", &chat("Hello", &body))
        .await;
    assert_eq!(events.len(), 3 * (1 + 2) + 1);
    for (index, event) in events[..3].iter().enumerate() {
        let role = json!({ "role": "assistant", "content": "" });
        assert_eq!(
            (&event["choices"][0]["index"], &event["choices"][0]["delta"]),
            (&json!(index), &role)
        );
    }
    for index in 0..3 {
        let of_this = events
            .iter()
            .filter(|event| event["choices"][0]["index"] == index);
        let tokens: Vec<_> = of_this
            .map(|event| &event["usage"]["completion_tokens"])
            .collect();
        assert_eq!(tokens, [0, 1, 2]);
    }
    assert_eq!(events[9]["usage"]["completion_tokens"], 6);
    assert_eq!(
        events[9]["usage"]["prompt_tokens"],
        events[0]["usage"]["prompt_tokens"]
    );
}

#[tokio::test]
async fn slow_reader_gets_all_bytes_of_n_answers() {
    let timing = Timing {
        itl_s: 0.0,
        ..quick().timing
    };
    let server = TestServer::start(SimConfig { timing, ..quick() }).await;
    let body = chat(
        "Hello",
        &json!({ "stream": true, "n": 3, "max_tokens": 10_000, "ignore_eos": true }),
    );
    let mut socket = server
        .open("POST", "/v1/chat/completions", &body.to_string())
        .await;
    sleep(Duration::from_millis(300)).await;
    let mut answer = String::new();
    timeout(Duration::from_secs(20), socket.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let body = joined(answer.split_once("\r\n\r\n").unwrap().1);
    assert_eq!(body.matches("data: {").count(), 3 * 10_001);
    assert_eq!(body.matches("\"finish_reason\":\"length\"").count(), 3);
    assert!(body.ends_with("data: [DONE]\n\n"));
}

/// Uses a long interval, so that a stream that waits for the next token of another answer is
/// noticed.
#[tokio::test]
async fn fault_closes_a_stream_of_several_answers_immediately() {
    let timing = Timing {
        itl_s: 30.0,
        ..quick().timing
    };
    let faults = Faults(vec!["close-after=1".parse().unwrap()]);
    let server = TestServer::start(SimConfig {
        timing,
        faults,
        ..quick()
    })
    .await;
    let body = chat(
        "Hello",
        &json!({ "stream": true, "n": 2, "max_tokens": 9, "ignore_eos": true }),
    );
    let mut socket = server
        .open("POST", "/v1/chat/completions", &body.to_string())
        .await;
    let mut answer = Vec::new();
    // A cut connection may end with an error.
    let _ = timeout(Duration::from_secs(10), socket.read_to_end(&mut answer))
        .await
        .unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(answer.matches("\"role\"").count(), 2, "{answer}");
    assert!(!answer.contains("[DONE]"), "{answer}");
    wait_until_idle(&server).await;
}

#[tokio::test]
async fn head_is_sent_before_the_prefill_ends() {
    let timing = Timing {
        prefill_overhead_s: 30.0,
        ..quick().timing
    };
    let server = TestServer::start(SimConfig { timing, ..quick() }).await;
    let body = chat("Hello", &json!({ "stream": true }));
    let mut socket = server
        .open("POST", "/v1/chat/completions", &body.to_string())
        .await;
    let mut received = [0; 2_048];
    let bytes = timeout(Duration::from_secs(5), socket.read(&mut received))
        .await
        .unwrap()
        .unwrap();
    let head = std::str::from_utf8(&received[..bytes]).unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(
        head.contains("content-type: text/event-stream; charset=utf-8"),
        "{head}"
    );
}

#[tokio::test]
async fn shutdown_cuts_streams_after_the_grace_period() {
    let server = TestServer::start(SimConfig {
        shutdown_grace_s: 0.2,
        ..quick()
    })
    .await;
    let body = chat(
        "Hello",
        &json!({ "stream": true, "max_tokens": 30_000, "ignore_eos": true }),
    );
    let mut socket = server
        .open("POST", "/v1/chat/completions", &body.to_string())
        .await;
    first_event(&mut socket).await;
    let requested = Instant::now();
    server.shutdown.send(()).unwrap();
    timeout(Duration::from_secs(5), server.task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(
        requested.elapsed() < Duration::from_secs(1),
        "{:?}",
        requested.elapsed()
    );
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"));
}
