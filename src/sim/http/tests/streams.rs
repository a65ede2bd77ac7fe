//! Answers that come as a stream.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    time::{sleep, timeout},
};

use super::{
    super::super::{SimConfig, Timing, tokens::count},
    client::{Server, chat, first_event, joined, quick},
};

fn text(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn a_chat_streams_role_words_usage_and_done() {
    let server = Server::start(quick()).await;
    let body = json!({
        "stream": true, "max_tokens": 5, "ignore_eos": true, "stream_options": { "include_usage": true },
    });
    let events = server.stream("/v1/chat/completions", &chat("This is some dummy text. ", &body)).await;
    assert_eq!(events.len(), 1 + 5 + 1);
    assert_eq!(events[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    assert_eq!(events[4]["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(events[5]["choices"][0]["finish_reason"], "length");
    let usage = &events[6]["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(16), &json!(5)));

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
async fn a_client_that_leaves_aborts_its_request() {
    let server = Server::start(quick()).await;
    let body = chat("Hello", &json!({ "stream": true, "max_tokens": 30_000, "ignore_eos": true }));
    let mut socket = server.open("POST", "/v1/chat/completions", &body.to_string()).await;
    first_event(&mut socket).await;
    assert_eq!(server.metric("vllm:num_requests_running{engine=\"0\",model_name=\"m\"}").await as u64, 1);
    drop(socket);
    let gone = async {
        while server.metric("vllm:num_requests_running{engine=\"0\",model_name=\"m\"}").await > 0.0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), gone).await.unwrap();
    let aborted = "vllm:request_success_total{engine=\"0\",model_name=\"m\",finished_reason=\"abort\"}";
    assert_eq!(server.metric(aborted).await as u64, 1);
}

#[tokio::test]
async fn a_reader_that_is_slow_gets_every_byte() {
    let timing = Timing { itl_s: 0.0, ..quick().timing };
    let server = Server::start(SimConfig { timing, ..quick() }).await;
    let body = chat("Hello", &json!({ "stream": true, "max_tokens": 30_000, "ignore_eos": true }));
    let mut socket = server.open("POST", "/v1/chat/completions", &body.to_string()).await;
    sleep(Duration::from_millis(300)).await;
    let mut answer = String::new();
    timeout(Duration::from_secs(20), socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body = joined(body);
    assert_eq!(body.matches("data: {").count(), 30_001);
    assert!(body.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn the_head_comes_before_the_prefill_is_done() {
    let timing = Timing { prefill_overhead_s: 30.0, ..quick().timing };
    let server = Server::start(SimConfig { timing, ..quick() }).await;
    let body = chat("Hello", &json!({ "stream": true }));
    let mut socket = server.open("POST", "/v1/chat/completions", &body.to_string()).await;
    let mut seen = [0; 2_048];
    let bytes = timeout(Duration::from_secs(5), socket.read(&mut seen)).await.unwrap().unwrap();
    let head = std::str::from_utf8(&seen[..bytes]).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains("content-type: text/event-stream; charset=utf-8"), "{head}");
}

#[tokio::test]
async fn a_shutdown_cuts_streams_after_a_short_grace() {
    let server = Server::start(SimConfig { shutdown_grace_s: 0.2, ..quick() }).await;
    let body = chat("Hello", &json!({ "stream": true, "max_tokens": 30_000, "ignore_eos": true }));
    let mut socket = server.open("POST", "/v1/chat/completions", &body.to_string()).await;
    first_event(&mut socket).await;
    let asked = Instant::now();
    server.shutdown.send(()).unwrap();
    timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"));
}
