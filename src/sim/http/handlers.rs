//! The routes.

use super::api::{self, StoragePolicy};
use super::completions::complete;
use super::error::ApiError;
use super::request::{self, TokenizeRequest, chat_tokens};
use crate::sim::config::SimConfig;
use crate::sim::fault::Fault;
use crate::sim::ground_truth::StampRecorder;
use crate::sim::metrics::EngineInfo;
use crate::sim::pacer::SimEngine;
use crate::sim::scheduler::ResetTiers;
use crate::sim::sse::Api;
use crate::sim::tokens::{self, GenerationPrompt};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The state that all routes share.
pub(crate) struct AppState {
    pub(crate) config: SimConfig,
    pub(crate) engine: Arc<SimEngine>,
    /// The KV that the tiers store; `None` without tiers.
    pub(crate) storage: Option<StoragePolicy>,
    pub(crate) info: EngineInfo,
    /// Records the timestamps of answers, if requested.
    pub(crate) stamps: Option<Arc<StampRecorder>>,
    /// The number of answered requests so far.
    pub(crate) answers: AtomicU64,
    /// The number of requests for an answer so far.
    pub(crate) requests: AtomicU64,
    /// The ignored fields of requests that a warning has named.
    pub(crate) ignored: Mutex<BTreeSet<&'static str>>,
}

type App = State<Arc<AppState>>;

/// Returns all routes of the engine.
pub(crate) fn router(app: Arc<AppState>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ping", get(|| async {}).post(|| async {}))
        .route("/version", get(version))
        .route("/v1/models", get(models))
        .route("/metrics", get(metrics))
        .route("/tokenize", post(tokenize))
        .route("/reset_prefix_cache", post(reset_prefix_cache))
        .route(
            "/v1/chat/completions",
            post(|State(app): App, request: Request| complete(app, Api::Chat, request)),
        )
        .route(
            "/v1/completions",
            post(|State(app): App, request: Request| complete(app, Api::Completion, request)),
        )
        .fallback(|| async { detail(StatusCode::NOT_FOUND, "Not Found") })
        .method_not_allowed_fallback(|| async {
            detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        })
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

fn detail(status: StatusCode, detail: &str) -> (StatusCode, Json<Value>) {
    (status, Json(json!({ "detail": detail })))
}

async fn health(State(app): App) -> StatusCode {
    let requests = app.requests.load(Ordering::Relaxed);
    if app.config.faults.is_healthy(requests) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn version() -> Json<Value> {
    Json(json!({ "version": concat!(env!("CARGO_PKG_VERSION"), "+lmrun.sim") }))
}

async fn models(State(app): App) -> Json<Value> {
    let id = if app.config.faults.has(Fault::WrongModel) {
        "another-model"
    } else {
        &app.config.model
    };
    let model = json!({
        "id": id,
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

async fn metrics(State(app): App) -> impl IntoResponse {
    let page = app
        .engine
        .metrics(|metrics| metrics.render(&app.info))
        .await;
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], page)
}

async fn tokenize(State(app): App, body: Bytes) -> Result<Json<Value>, ApiError> {
    let request: TokenizeRequest = request::parse(&body)?;
    api::check_model(&app.config, request.model.as_deref())?;
    let tokens = match (&request.prompt, &request.messages) {
        (Some(prompt), _) if request.add_special_tokens == Some(false) => {
            tokens::ids(prompt).collect()
        }
        (Some(prompt), _) => tokens::prompt_ids(prompt),
        (None, Some(messages)) => {
            let generation = match request.add_generation_prompt {
                Some(false) => GenerationPrompt::Omit,
                _ => GenerationPrompt::Add,
            };
            chat_tokens(messages, generation)
        }
        (None, None) => {
            return Err(ApiError::invalid(
                "prompt",
                "expected `prompt` or `messages`",
            ));
        }
    };
    Ok(Json(json!({
        "count": tokens.len(),
        "max_model_len": app.config.max_model_len,
        "tokens": tokens,
        "token_strs": null,
    })))
}

#[derive(Deserialize)]
struct ResetQuery {
    reset_external: Option<bool>,
}

/// Answers like vLLM since 0.26: `success` is false while requests hold blocks.
async fn reset_prefix_cache(State(app): App, Query(query): Query<ResetQuery>) -> Json<Value> {
    let tiers = match query.reset_external {
        Some(true) => ResetTiers::Clear,
        _ => ResetTiers::Keep,
    };
    let success = app.engine.reset(tiers).await;
    Json(json!({ "success": success }))
}

/// The current time, in seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
