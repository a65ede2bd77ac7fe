//! The server over real sockets, as a client sees it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    super::{LogLines, SimConfig, SimError, Timing},
    Simulator,
};

/// A server that is as fast as it can be.
fn quick() -> SimConfig {
    let timing = Timing { prefill_overhead_s: 0.001, warmup_s: 0.0, itl_s: 0.0005, ..Timing::default() };
    SimConfig {
        port: 0,
        model: "m".to_owned(),
        startup_s: 0.0,
        timing,
        log: LogLines::Off,
        ..SimConfig::default()
    }
}

struct Server {
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<Result<(), SimError>>,
}

impl Server {
    async fn start(config: SimConfig) -> Self {
        let simulator = Simulator::bind(config).await.unwrap();
        let address = simulator.address();
        let (shutdown, asked) = oneshot::channel();
        let task = tokio::spawn(simulator.serve(async { drop(asked.await) }));
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        Self { address, shutdown, task }
    }

    async fn open(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    /// Status and body, without the framing of chunks.
    async fn call(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut socket = self.open(method, path, body).await;
        let mut answer = String::new();
        timeout(Duration::from_secs(10), socket.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.contains("transfer-encoding: chunked");
        (status, if chunked { joined(body) } else { body.to_owned() })
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, text) = self.call("POST", path, &body.to_string()).await;
        (status, serde_json::from_str(&text).unwrap())
    }

    async fn stream(&self, path: &str, body: &Value) -> Vec<Value> {
        let (status, text) = self.call("POST", path, &body.to_string()).await;
        assert_eq!(status, 200, "{text}");
        let events: Vec<_> =
            text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
        let (done, events) = events.split_last().unwrap();
        assert_eq!(*done, "[DONE]");
        events.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }

    async fn metric(&self, line: &str) -> f64 {
        let (_, page) = self.call("GET", "/metrics", "").await;
        let found = page.lines().find_map(|seen| seen.strip_prefix(line));
        found.unwrap_or_else(|| panic!("{line}\n{page}")).trim().parse().unwrap()
    }
}

fn joined(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, tail)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&tail[..length]);
        rest = &tail[length + 2..];
    }
    body
}

fn chat(content: &str, more: &Value) -> Value {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": content }] });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    body
}

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
    assert_eq!(super::super::tokens::count(&text(&events)), 5);
}

#[tokio::test]
async fn a_repeated_prompt_is_found_until_the_cache_is_reset() {
    let server = Server::start(quick()).await;
    let body = json!({ "model": "m", "prompt": "some dummy text. ".repeat(100), "max_tokens": 1 });
    let cached = async || {
        server.post("/v1/completions", &body).await.1["usage"]["prompt_tokens_details"]["cached_tokens"]
            .clone()
    };
    assert_eq!([cached().await, cached().await], [json!(0), json!(400)]);
    assert_eq!(server.post("/reset_prefix_cache", &json!({})).await, (200, json!({ "success": true })));
    assert_eq!(cached().await, json!(0));
    let source =
        "vllm:prompt_tokens_by_source_total{engine=\"0\",model_name=\"m\",source=\"local_cache_hit\"}";
    assert_eq!(server.metric(source).await as u64, 400);
}

#[tokio::test]
async fn a_second_turn_finds_the_first_one_and_its_answer() {
    let server = Server::start(quick()).await;
    let more = json!({ "max_tokens": 200, "ignore_eos": true });
    let (_, first) = server.post("/v1/chat/completions", &chat("Hello", &more)).await;
    let answer = &first["choices"][0]["message"]["content"];
    let turn = |role: &str, content: &Value| json!({ "role": role, "content": content });
    let messages =
        json!([turn("user", &json!("Hello")), turn("assistant", answer), turn("user", &json!("Go on."))]);
    let (_, second) =
        server.post("/v1/chat/completions", &json!({ "messages": messages, "max_tokens": 1 })).await;
    let cached = &second["usage"]["prompt_tokens_details"]["cached_tokens"];
    assert_eq!(cached, &json!((11 + 199) / 16 * 16));

    let salted = json!({ "messages": messages, "max_tokens": 1, "cache_salt": "other" });
    let (_, alone) = server.post("/v1/chat/completions", &salted).await;
    assert_eq!(alone["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
}

#[tokio::test]
async fn an_answer_of_16_tokens_or_a_seeded_length_is_the_default() {
    let server = Server::start(SimConfig { mean_output_tokens: 40, ..quick() }).await;
    let (_, plain) = server.post("/v1/completions", &json!({ "prompt": "Hello" })).await;
    assert_eq!(
        (&plain["usage"]["completion_tokens"], &plain["choices"][0]["finish_reason"]),
        (&json!(16), &json!("length"))
    );
    let (_, answer) = server.post("/v1/chat/completions", &chat("Hello", &json!({}))).await;
    let tokens = answer["usage"]["completion_tokens"].as_u64().unwrap();
    assert!((20..=60).contains(&tokens), "{tokens}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn what_vllm_refuses_is_refused_in_its_shape() {
    let server = Server::start(quick()).await;
    let (status, body) =
        server.post("/v1/completions", &json!({ "model": "other", "prompt": "Hello" })).await;
    let error = json!({ "message": "The model `other` does not exist.", "type": "NotFoundError", "param": "model", "code": 404 });
    assert_eq!((status, body), (404, json!({ "error": error })));

    let (status, body) =
        server.post("/v1/completions", &json!({ "prompt": "Hello", "max_tokens": 32_768 })).await;
    assert_eq!((status, &body["error"]["type"]), (400, &json!("BadRequestError")));
    assert_eq!(
        body["error"]["message"],
        "This model's maximum context length is 32768 tokens. However, you requested 32768 output tokens and your \
         prompt contains at least 2 input tokens, for a total of at least 32770 tokens. Please reduce the length of \
         the input prompt or the number of requested output tokens."
    );
    let (status, text) = server.call("POST", "/v1/chat/completions", "{not json").await;
    assert!(status == 400 && text.contains("JSON decode error"), "{status} {text}");
    assert_eq!(server.call("GET", "/nowhere", "").await, (404, json!({ "detail": "Not Found" }).to_string()));
    assert_eq!(server.call("GET", "/v1/completions", "").await.0, 405);
}

#[tokio::test]
async fn health_models_and_tokenize_answer() {
    let server = Server::start(quick()).await;
    assert_eq!(server.call("GET", "/health", "").await, (200, String::new()));
    let (_, models) = server.call("GET", "/v1/models", "").await;
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!(
        (&models["data"][0]["id"], &models["data"][0]["max_model_len"]),
        (&json!("m"), &json!(32_768))
    );
    let bare = json!({ "prompt": "This is some dummy text. ", "add_special_tokens": false });
    assert_eq!(server.post("/tokenize", &bare).await.1["count"], 6);
    assert_eq!(server.post("/tokenize", &chat("This is some dummy text. ", &json!({}))).await.1["count"], 16);
    assert_eq!(server.metric("lmrun_sim:gpu_memory_used_mib{gpu=\"0\"}").await as u64, 25_714);
}

#[tokio::test]
async fn a_client_that_leaves_aborts_its_request() {
    let server = Server::start(quick()).await;
    let body = chat("Hello", &json!({ "stream": true, "max_tokens": 30_000, "ignore_eos": true }));
    let mut socket = server.open("POST", "/v1/chat/completions", &body.to_string()).await;
    let mut seen = [0; 2_048];
    assert!(socket.read(&mut seen).await.unwrap() > 0);
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
    assert!(socket.read(&mut [0; 2_048]).await.unwrap() > 0);
    let asked = Instant::now();
    server.shutdown.send(()).unwrap();
    timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let server = Server::start(quick()).await;
    let error = match Simulator::bind(SimConfig { port: server.address.port(), ..quick() }).await {
        Ok(simulator) => simulator.serve(async {}).await.err(),
        Err(error) => Some(error),
    };
    assert_eq!(error.unwrap().to_string(), format!("cannot listen on {}", server.address));
}
