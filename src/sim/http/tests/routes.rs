//! Answers that come at once, and refusals.

use serde_json::{Value, json};

use super::{
    super::{super::SimConfig, Simulator},
    client::{Server, chat, quick},
};

#[tokio::test]
async fn a_repeated_prompt_is_found_until_the_cache_is_reset() {
    let server = Server::start(quick()).await;
    let body = json!({ "model": "m", "prompt": "some dummy text. ".repeat(100), "max_tokens": 1 });
    let cached = async || {
        server.post("/v1/completions", &body).await.1["usage"]["prompt_tokens_details"]["cached_tokens"]
            .clone()
    };
    assert_eq!([cached().await, cached().await], [json!(0), json!(400)]);
    assert_eq!(
        server.post("/reset_prefix_cache", &json!({})).await,
        (200, json!({ "success": true }))
    );
    assert_eq!(cached().await, json!(0));
    let source = "vllm:prompt_tokens_by_source_total{engine=\"0\",model_name=\"m\",source=\"local_cache_hit\"}";
    assert_eq!(server.metric(source).await as u64, 400);
}

#[tokio::test]
async fn a_second_turn_finds_the_first_one_and_its_answer() {
    let server = Server::start(quick()).await;
    let more = json!({ "max_tokens": 200, "ignore_eos": true });
    let (_, first) = server
        .post("/v1/chat/completions", &chat("Hello", &more))
        .await;
    let answer = &first["choices"][0]["message"]["content"];
    let turn = |role: &str, content: &Value| json!({ "role": role, "content": content });
    let messages = json!([
        turn("user", &json!("Hello")),
        turn("assistant", answer),
        turn("user", &json!("Go on."))
    ]);
    let (_, second) = server
        .post(
            "/v1/chat/completions",
            &json!({ "messages": messages, "max_tokens": 1 }),
        )
        .await;
    let cached = &second["usage"]["prompt_tokens_details"]["cached_tokens"];
    assert_eq!(cached, &json!((11 + 199) / 16 * 16));

    let salted = json!({ "messages": messages, "max_tokens": 1, "cache_salt": "other" });
    let (_, alone) = server.post("/v1/chat/completions", &salted).await;
    assert_eq!(alone["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
}

#[tokio::test]
async fn an_answer_of_16_tokens_or_a_seeded_length_is_the_default() {
    let server = Server::start(SimConfig {
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
async fn what_vllm_refuses_is_refused_in_its_shape() {
    let server = Server::start(quick()).await;
    let (status, body) = server
        .post(
            "/v1/completions",
            &json!({ "model": "other", "prompt": "Hello" }),
        )
        .await;
    let error = json!({ "message": "The model `other` does not exist.", "type": "NotFoundError", "param": "model", "code": 404 });
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
        "This model's maximum context length is 32768 tokens. However, you requested 32768 output tokens and your \
         prompt contains at least 2 input tokens, for a total of at least 32770 tokens. Please reduce the length of \
         the input prompt or the number of requested output tokens."
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
    let server = Server::start(quick()).await;
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
async fn a_port_that_is_taken_is_named() {
    let server = Server::start(quick()).await;
    let error = match Simulator::bind(SimConfig {
        port: server.address.port(),
        ..quick()
    })
    .await
    {
        Ok(simulator) => simulator.serve(async {}).await.err(),
        Err(error) => Some(error),
    };
    let said = "Address already in use (os error 98); choose others with `--host` and `--port`";
    assert_eq!(
        error.unwrap().to_string(),
        format!("cannot listen on {}: {said}", server.address)
    );
}

/// Sends requests that vLLM takes: lists of prompts and of tokens, several answers, floats that are whole.
#[tokio::test]
async fn several_prompts_have_n_answers_each() {
    let server = Server::start(quick()).await;
    let body = json!({ "prompt": ["Hello", "some dummy text."], "n": 2, "max_tokens": 4.0, "ignore_eos": true });
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
    assert_eq!(texts.len(), 4, "no two are the same: {texts:?}");
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
async fn an_answer_has_the_id_of_its_request() {
    let server = Server::start(quick()).await;
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
            .open_with("POST", path, "x-request-id: mine-7\r\n", &body)
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

#[test]
fn fields_that_do_nothing_are_told_apart_from_those_that_ask_for_nothing() {
    let ignored = |body: &Value| {
        let request: super::super::request::CompletionRequest =
            super::super::request::parse(body.to_string().as_bytes()).unwrap();
        request.ignored().collect::<Vec<_>>()
    };
    let asks = json!({
        "logprobs": true, "echo": true, "tools": [{}], "tool_choice": "required",
        "response_format": { "type": "json_object" },
    });
    assert_eq!(
        ignored(&asks),
        [
            "logprobs",
            "echo",
            "tools",
            "tool_choice",
            "response_format"
        ]
    );
    let idle = json!({
        "logprobs": false, "echo": null, "tools": [], "tool_choice": "auto", "response_format": { "type": "text" },
    });
    assert!(ignored(&idle).is_empty());
}
