//! The routes.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Extension, Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Query, State},
    http::{HeaderMap, StatusCode, Version, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::oneshot};

use super::{
    super::{
        config::SimConfig,
        fault::{AnswerFault, Fault, Spoiler},
        metrics::Identity,
        pacer::{Engine, Output, Stream, StreamOutput, WholeOutput},
        scheduler::ResetTiers,
        sse::{Api, Events, Framing, Usage},
        tokens::{self, GenerationPrompt, mix},
        truth::Truth,
    },
    api::{self, Choice, Delivery, Plan, Storing},
    body::{Start, StreamBody},
    error::Refusal,
    request::{self, CompletionRequest, TokenizeRequest, chat_tokens},
};

/// What the routes share.
pub struct App {
    /// What is simulated.
    pub config: SimConfig,
    /// Who computes.
    pub engine: Arc<Engine>,
    /// What the tiers store.
    pub storing: Option<Storing>,
    /// The fixed part of the metrics.
    pub identity: Identity,
    /// Keeps the moments of answers, where it is asked for.
    pub truth: Option<Arc<Truth>>,
    /// Number of answers so far.
    pub answers: AtomicU64,
    /// Number of requests for an answer so far.
    pub requests: AtomicU64,
    /// Fields of requests that a warning has named as without effect.
    pub ignored: Mutex<BTreeSet<&'static str>>,
}

/// The socket a request came on.
pub type Socket = Extension<Arc<TcpStream>>;

/// All routes of the engine.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ping", get(|| async {}).post(|| async {}))
        .route("/version", get(version))
        .route("/v1/models", get(models))
        .route("/metrics", get(metrics))
        .route("/tokenize", post(tokenize))
        .route("/reset_prefix_cache", post(reset_prefix_cache))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completion))
        .fallback(|| async {
            (
                http::StatusCode::NOT_FOUND,
                Json(json!({ "detail": "Not Found" })),
            )
        })
        .method_not_allowed_fallback(|| async {
            (
                http::StatusCode::METHOD_NOT_ALLOWED,
                Json(json!({ "detail": "Method Not Allowed" })),
            )
        })
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

async fn health(State(app): State<Arc<App>>) -> StatusCode {
    let healthy = app
        .config
        .faults
        .is_healthy(app.requests.load(Ordering::Relaxed));
    if healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn version() -> Json<Value> {
    Json(json!({ "version": concat!(env!("CARGO_PKG_VERSION"), "+lmrun.sim") }))
}

async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let wrong = app.config.faults.has(Fault::WrongModel);
    let model = json!({
        "id": if wrong { "another-model" } else { &app.config.model },
        "object": "model",
        "created": now_s(),
        "owned_by": "lmrun-sim",
        "root": app.config.model,
        "parent": null,
        "max_model_len": app.config.max_model_len,
        "permission": [],
    });
    Json(json!({ "object": "list", "data": [model] }))
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let page = app
        .engine
        .metrics(|metrics| metrics.render(&app.identity))
        .await;
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        page,
    )
        .into_response()
}

async fn tokenize(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let request: TokenizeRequest = request::parse(&body)?;
    api::check_model(&app.config, request.model.as_deref())?;
    let tokens = match (&request.prompt, &request.messages) {
        (Some(prompt), _) if request.add_special_tokens == Some(false) => {
            tokens::ids(prompt).collect()
        }
        (Some(prompt), _) => tokens::prompt_ids(prompt),
        (None, Some(messages)) => chat_tokens(messages, generation_prompt(&request)),
        (None, None) => {
            return Err(Refusal::invalid(
                "prompt",
                "expected `prompt` or `messages`",
            ));
        }
    };
    let count = tokens.len();
    let max_model_len = app.config.max_model_len;
    Ok(Json(
        json!({ "count": count, "max_model_len": max_model_len, "tokens": tokens, "token_strs": null }),
    ))
}

fn generation_prompt(request: &TokenizeRequest) -> GenerationPrompt {
    match request.add_generation_prompt {
        Some(false) => GenerationPrompt::Omit,
        _ => GenerationPrompt::Add,
    }
}

#[derive(Deserialize)]
struct ResetQuery {
    reset_external: Option<bool>,
}

/// Answers as vLLM does since 0.26: `success` is false while requests hold blocks.
async fn reset_prefix_cache(
    State(app): State<Arc<App>>,
    Query(query): Query<ResetQuery>,
) -> Json<Value> {
    let external = query.reset_external == Some(true);
    let success = app
        .engine
        .reset(if external {
            ResetTiers::Too
        } else {
            ResetTiers::Keep
        })
        .await;
    Json(json!({ "success": success }))
}

async fn chat(
    state: State<Arc<App>>,
    socket: Socket,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    complete(state.0, Api::Chat, socket.0, version, &headers, &body).await
}

async fn completion(
    state: State<Arc<App>>,
    socket: Socket,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    complete(state.0, Api::Completion, socket.0, version, &headers, &body).await
}

async fn complete(
    app: Arc<App>,
    api: Api,
    socket: Arc<TcpStream>,
    version: Version,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Refusal> {
    let stamps = app.truth.as_ref().map(|truth| truth.answer(headers));
    let spoiler = Spoiler::new(app.meet(headers).await?);
    let arrived = app.engine.now();
    let request: CompletionRequest = request::parse(body)?;
    app.say_what_is_ignored(&request);
    let Plan { choices, delivery } = api::plan(&app.config, app.storing, api, request)?;
    let name = app.answer_name(api, headers);
    let mut response = match delivery {
        Delivery::Whole => app.whole(api, name, arrived, choices).await?,
        Delivery::Stream(usage) => {
            let framing = if version == Version::HTTP_10 {
                Framing::UntilClose
            } else {
                Framing::Chunked
            };
            let events = Events::new(&name, &app.config.model, now_s(), api, usage, framing);
            let stream = Stream::new(socket, events.spoiled(spoiler), stamps);
            app.stream(name, arrived, choices, stream)
        }
    };
    if let Some(id) = headers.get(REQUEST_ID) {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    Ok(response)
}

/// The header by which a client names its request.
const REQUEST_ID: &str = "x-request-id";

impl App {
    /// Counts a request, and does what goes wrong before its answer. What goes wrong in it, is
    /// returned.
    async fn meet(&self, headers: &HeaderMap) -> Result<Vec<AnswerFault>, Refusal> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        self.config.faults.meet(number);
        let faults = self.config.faults.of_answer(number);
        if faults.contains(&AnswerFault::NoAnswer) {
            std::future::pending::<()>().await;
        }
        let refusal = faults.iter().find_map(|fault| match fault {
            AnswerFault::Refuse(status) => Some(refuse(*status, headers)),
            _ => None,
        });
        refusal.map_or(Ok(faults), Err)
    }

    /// Warns once per field that a request asks for something that the simulator does not do.
    fn say_what_is_ignored(&self, request: &CompletionRequest) {
        for field in request.ignored() {
            if self.ignored.lock().insert(field) {
                eprintln!("warning: the simulator ignores `{field}` of requests");
            }
        }
    }

    /// The id of an answer: with the client's id of its request, as in vLLM.
    fn answer_name(&self, api: Api, headers: &HeaderMap) -> String {
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let prefix = match api {
            Api::Chat => "chatcmpl",
            Api::Completion => "cmpl",
        };
        let given = headers
            .get(REQUEST_ID)
            .and_then(|id| id.to_str().ok())
            .filter(|id| !id.is_empty());
        if let Some(id) = given {
            return format!("{prefix}-{id}");
        }
        format!(
            "{prefix}-{:016x}-{number:08x}",
            mix(self.config.seed ^ mix(number))
        )
    }

    fn stream(
        &self,
        name: String,
        arrived: u64,
        choices: Vec<Choice>,
        (stream, written): (Arc<Mutex<Stream>>, oneshot::Receiver<()>),
    ) -> Response {
        let output = |Choice {
                          job,
                          answer,
                          is_first,
                      }| (job, StreamOutput::new(&stream, answer, is_first));
        let answers = choices.into_iter().map(output).collect();
        let engine = Arc::clone(&self.engine);
        let body = StreamBody::new(Start {
            engine,
            name,
            arrived,
            answers,
            written,
        });
        (
            [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")],
            Body::new(body),
        )
            .into_response()
    }

    async fn whole(
        &self,
        api: Api,
        name: String,
        arrived: u64,
        choices: Vec<Choice>,
    ) -> Result<Response, Refusal> {
        let mut waiting = Vec::new();
        for Choice {
            job,
            answer,
            is_first,
        } in choices
        {
            let (reply, usage) = oneshot::channel();
            let output = Output::Whole(WholeOutput { reply: Some(reply) });
            // A cancelled request drops its tickets, and with them what is computed for it.
            let ticket = self.engine.submit(name.clone(), arrived, job, output);
            waiting.push((ticket, usage, answer, is_first));
        }
        let (mut written, mut total) = (Vec::new(), Usage::default());
        for (index, (_ticket, usage, answer, is_first)) in waiting.into_iter().enumerate() {
            let usage = usage.await.map_err(|_| Refusal::Stopped)?;
            let text = answer.text(usage.completion_tokens);
            written.push(choice(api, index, &text, answer.finish().name()));
            total.add(if is_first {
                usage
            } else {
                usage.without_prompt()
            });
        }
        let answer = json!({
            "id": name,
            "object": if api == Api::Chat { "chat.completion" } else { "text_completion" },
            "created": now_s(),
            "model": self.config.model,
            "choices": written,
            "usage": total.json(),
        });
        Ok(Json(answer).into_response())
    }
}

fn choice(api: Api, index: usize, text: &str, finish: &str) -> Value {
    match api {
        Api::Chat => json!({
            "index": index,
            "message": { "role": "assistant", "content": text, "refusal": null, "tool_calls": [] },
            "logprobs": null,
            "finish_reason": finish,
            "stop_reason": null,
        }),
        Api::Completion => json!({
            "index": index,
            "text": text,
            "logprobs": null,
            "finish_reason": finish,
            "stop_reason": null,
        }),
    }
}

/// A refusal; one for a wrong key says which, as some engines do.
fn refuse(status: u16, headers: &HeaderMap) -> Refusal {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let key = headers
        .get(header::AUTHORIZATION)
        .and_then(|key| key.to_str().ok());
    let message = match key {
        Some(key) if status == StatusCode::UNAUTHORIZED => {
            format!("Incorrect API key provided: {key}")
        }
        _ => "refused on purpose".to_owned(),
    };
    Refusal::OnPurpose { status, message }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
