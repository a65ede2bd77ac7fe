//! Answers without streaming, and errors.

use super::client::{TestServer, chat, quick};
use crate::sim::config::SimConfig;
use crate::sim::http::request::{CompletionRequest, parse};
use crate::sim::http::server::Simulator;
use serde_json::{Value, json};

#[tokio::test]
async fn repeated_prompt_is_cached_until_a_reset() {
    let server = TestServer::start(quick()).await;
    let body = json!({ "model": "m", "prompt": "some dummy text. ".repeat(100), "max_tokens": 1 });
    for (cached_tokens, reset) in [(0, false), (400, true), (0, false)] {
        let (_, answer) = server.post("/v1/completions", &body).await;
        assert_eq!(cached(&answer), &json!(cached_tokens));
        if reset {
            assert_eq!(
                server.post("/reset_prefix_cache", &json!({})).await,
                (200, json!({ "success": true }))
            );
        }
    }
    let hits = "vllm:prompt_tokens_by_source_total\
                {engine=\"0\",model_name=\"m\",source=\"local_cache_hit\"}";
    assert_eq!(server.metric(hits).await as u64, 400);
}

fn cached(answer: &Value) -> &Value {
    &answer["usage"]["prompt_tokens_details"]["cached_tokens"]
}

#[tokio::test]
async fn second_turn_hits_the_first_turn_and_its_answer() {
    let server = TestServer::start(quick()).await;
    let more = json!({ "max_tokens": 200, "ignore_eos": true });
    let (_, first) = server
        .post("/v1/chat/completions", &chat("Hello", &more))
        .await;
    let answer = &first["choices"][0]["message"]["content"];
    let messages = json!([
        { "role": "user", "content": "Hello" },
        { "role": "assistant", "content": answer },
        { "role": "user", "content": "Go on." },
    ]);
    let (_, second) = server
        .post(
            "/v1/chat/completions",
            &json!({ "messages": messages, "max_tokens": 1 }),
        )
        .await;
    assert_eq!(cached(&second), &json!((11 + 199) / 16 * 16));

    let salted = json!({ "messages": messages, "max_tokens": 1, "cache_salt": "other" });
    let (_, alone) = server.post("/v1/chat/completions", &salted).await;
    assert_eq!(cached(&alone), &json!(0));
}

#[tokio::test]
async fn default_answer_length_is_16_tokens_or_seeded() {
    let server = TestServer::start(SimConfig {
        mean_output_tokens: 40,
        ..quick()
    })
    .await;
    let (_, plain) = server
        .post("/v1/completions", &json!({ "prompt": "Hello" }))
        .await;
    assert_eq!(
        (
            &plain["usage"]["completion_tokens"],
            &plain["choices"][0]["finish_reason"]
        ),
        (&json!(16), &json!("length"))
    );
    let (_, answer) = server
        .post("/v1/chat/completions", &chat("Hello", &json!({})))
        .await;
    let tokens = answer["usage"]["completion_tokens"].as_u64().unwrap();
    assert!((20..=60).contains(&tokens), "{tokens}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn errors_have_the_format_of_vllm() {
    let server = TestServer::start(quick()).await;
    let (status, body) = server
        .post(
            "/v1/completions",
            &json!({ "model": "other", "prompt": "Hello" }),
        )
        .await;
    let error = json!({
        "message": "The model `other` does not exist.",
        "type": "NotFoundError",
        "param": "model",
        "code": 404,
    });
    assert_eq!((status, body), (404, json!({ "error": error })));

    let (status, body) = server
        .post(
            "/v1/completions",
            &json!({ "prompt": "Hello", "max_tokens": 32_768 }),
        )
        .await;
    assert_eq!(
        (status, &body["error"]["type"]),
        (400, &json!("BadRequestError"))
    );
    assert_eq!(
        body["error"]["message"],
        "This model's maximum context length is 32768 tokens. However, you requested 32768 output \
         tokens and your prompt contains at least 2 input tokens, for a total of at least 32770 \
         tokens. Please reduce the length of the input prompt or the number of requested output \
         tokens."
    );
    let (status, text) = server
        .call("POST", "/v1/chat/completions", "{not json")
        .await;
    assert!(
        status == 400 && text.contains("JSON decode error"),
        "{status} {text}"
    );
    assert_eq!(
        server.call("GET", "/nowhere", "").await,
        (404, json!({ "detail": "Not Found" }).to_string())
    );
    assert_eq!(server.call("GET", "/v1/completions", "").await.0, 405);
}

#[tokio::test]
async fn health_models_and_tokenize_answer() {
    let server = TestServer::start(quick()).await;
    assert_eq!(
        server.call("GET", "/health", "").await,
        (200, String::new())
    );
    let (_, models) = server.call("GET", "/v1/models", "").await;
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!(
        (
            &models["data"][0]["id"],
            &models["data"][0]["max_model_len"]
        ),
        (&json!("m"), &json!(32_768))
    );
    let bare = json!({ "prompt": "This is some dummy text. ", "add_special_tokens": false });
    assert_eq!(server.post("/tokenize", &bare).await.1["count"], 6);
    assert_eq!(
        server
            .post("/tokenize", &chat("This is some dummy text. ", &json!({})))
            .await
            .1["count"],
        16
    );
    assert_eq!(
        server
            .metric("lmrun_sim:gpu_memory_used_mib{gpu=\"0\"}")
            .await as u64,
        25_714
    );
}

#[tokio::test]
async fn port_in_use_is_named() {
    let server = TestServer::start(quick()).await;
    let error = match Simulator::bind(SimConfig {
        port: server.address.port(),
        ..quick()
    })
    .await
    {
        Ok(simulator) => simulator.serve(async {}).await.err(),
        Err(error) => Some(error),
    };
    let reason = "Address already in use (os error 98); choose others with `--host` and `--port`";
    assert_eq!(
        error.unwrap().to_string(),
        format!("cannot listen on {}: {reason}", server.address)
    );
}

/// Sends requests that vLLM accepts: lists of prompts and of tokens, several answers, whole floats.
#[tokio::test]
async fn each_of_several_prompts_has_n_answers() {
    let server = TestServer::start(quick()).await;
    let body = json!({
        "prompt": ["Hello", "some dummy text."], "n": 2, "max_tokens": 4.0, "ignore_eos": true,
    });
    let (status, answer) = server.post("/v1/completions", &body).await;
    assert_eq!(status, 200, "{answer}");
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(
        choices
            .iter()
            .map(|choice| &choice["index"])
            .collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    let texts: std::collections::BTreeSet<_> = choices
        .iter()
        .map(|choice| choice["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts.len(), 4, "equal texts: {texts:?}");
    assert_eq!(
        (
            &answer["usage"]["prompt_tokens"],
            &answer["usage"]["completion_tokens"]
        ),
        (&json!(7), &json!(16))
    );

    let lists = json!({ "prompt": [[1, 2, 3], [4, 5]], "max_tokens": 1 });
    let (_, answer) = server.post("/v1/completions", &lists).await;
    assert_eq!(
        (
            answer["choices"].as_array().unwrap().len(),
            &answer["usage"]["prompt_tokens"]
        ),
        (2, &json!(5))
    );

    let (_, chat) = server
        .post(
            "/v1/chat/completions",
            &chat("Hello", &json!({ "n": 3, "max_tokens": 1 })),
        )
        .await;
    assert_eq!(chat["choices"].as_array().unwrap().len(), 3);
    for (body, param) in [
        (json!({ "prompt": [] }), "prompt"),
        (json!({ "prompt": "a", "n": 0 }), "n"),
    ] {
        let (status, refused) = server.post("/v1/completions", &body).await;
        assert_eq!(
            (status, &refused["error"]["param"]),
            (400, &json!(param)),
            "{body}"
        );
    }
    let (status, _) = server
        .post(
            "/v1/completions",
            &json!({ "prompt": "a", "max_tokens": 4.5 }),
        )
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn answer_id_contains_the_request_id() {
    let server = TestServer::start(quick()).await;
    for (path, prefix, stream) in [
        ("/v1/chat/completions", "chatcmpl", false),
        ("/v1/completions", "cmpl", true),
    ] {
        let mut body = chat(
            "Hello",
            &json!({ "prompt": "Hello", "max_tokens": 1, "stream": stream }),
        )
        .to_string();
        body.push(' ');
        let mut socket = server
            .open_with_id(&format!("POST {path}"), "mine-7", &body)
            .await;
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer)
            .await
            .unwrap();
        assert!(answer.contains("\r\nx-request-id: mine-7\r\n"), "{answer}");
        assert!(
            answer.contains(&format!("\"id\":\"{prefix}-mine-7\"")),
            "{answer}"
        );
    }
}

fn ignored_fields(body: &Value) -> Vec<&'static str> {
    let request: CompletionRequest = parse(body.to_string().as_bytes()).unwrap();
    request.ignored_fields()
}

#[test]
fn ignored_fields_are_those_with_an_effect_in_vllm() {
    let all = json!({
        "logprobs": true, "echo": true, "tools": [{}], "tool_choice": "required",
        "response_format": { "type": "json_object" },
    });
    assert_eq!(
        ignored_fields(&all),
        [
            "logprobs",
            "echo",
            "tools",
            "tool_choice",
            "response_format"
        ]
    );
    let none = json!({
        "logprobs": false, "echo": null, "tools": [], "tool_choice": "auto",
        "response_format": { "type": "text" },
    });
    assert!(ignored_fields(&none).is_empty());
}
