//! The answers of `/v1/chat/completions` and `/v1/completions`.

use super::api::{AcceptedRequest, Delivery, PlannedAnswer, accept};
use super::body::{StreamBody, StreamStart};
use super::error::ApiError;
use super::handlers::{AppState, now_s};
use super::request::{self, CompletionRequest};
use crate::sim::fault::{AnswerFault, StreamFaults};
use crate::sim::pacer::{AnswerOutput, AnswerStream, StreamOutput, Submission, WholeOutput};
use crate::sim::scheduler::Nanos;
use crate::sim::sse::{Api, EventHead, EventWriter, Framing, StreamFormat, TokenUsage};
use crate::sim::tokens::mix;
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// The header with the client's id of a request.
const REQUEST_ID: &str = "x-request-id";

/// A stream, and the receiver of its end.
type OpenStream = (Arc<Mutex<AnswerStream>>, oneshot::Receiver<()>);

/// An accepted request that has its id.
struct NamedRequest {
    api: Api,
    name: String,
    arrived: Nanos,
    answers: Vec<PlannedAnswer>,
}

/// Answers a request.
pub(crate) async fn complete(
    app: Arc<AppState>,
    api: Api,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX)
        .await
        .map_err(|error| ApiError::Malformed(error.to_string()))?;
    let stamps = app
        .stamps
        .as_ref()
        .map(|recorder| recorder.start_answer(&head.headers));
    let faults = app.count_request(&head.headers).await?;
    let arrived = app.engine.now();
    let request: CompletionRequest = request::parse(&body)?;
    app.warn_of_ignored_fields(&request);
    let AcceptedRequest { answers, delivery } = accept(&app, api, request)?;
    let request = NamedRequest {
        api,
        name: app.answer_name(api, &head.headers),
        arrived,
        answers,
    };
    let mut response = match delivery {
        Delivery::Whole => app.answer_whole(request).await?,
        Delivery::Stream(usage) => {
            let socket: &Arc<TcpStream> = head
                .extensions
                .get()
                .expect("each connection adds its socket");
            let event_head = EventHead {
                id: &request.name,
                model: &app.config.model,
                created_s: now_s(),
            };
            let format = StreamFormat {
                api,
                usage,
                framing: match head.version {
                    Version::HTTP_10 => Framing::UntilClose,
                    _ => Framing::Chunked,
                },
            };
            let events = EventWriter::new(event_head, format, StreamFaults::new(faults));
            let stream = AnswerStream::new(Arc::clone(socket), events, stamps);
            app.answer_stream(request, stream)
        }
    };
    if let Some(id) = head.headers.get(REQUEST_ID) {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    Ok(response)
}

impl AppState {
    /// Counts a request and applies the faults before its answer. Returns the faults of the answer.
    async fn count_request(&self, headers: &HeaderMap) -> Result<Vec<AnswerFault>, ApiError> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        self.config.faults.die_at_request(number);
        let faults = self.config.faults.of_answer(number);
        if faults.contains(&AnswerFault::NoAnswer) {
            std::future::pending::<()>().await;
        }
        for fault in &faults {
            if let AnswerFault::Refuse(status) = fault {
                return Err(deliberate_error(*status, headers));
            }
        }
        Ok(faults)
    }

    /// Warns once per field that the simulator ignores.
    fn warn_of_ignored_fields(&self, request: &CompletionRequest) {
        for field in request.ignored_fields() {
            if self.ignored.lock().insert(field) {
                eprintln!("warning: the simulator ignores `{field}` of requests");
            }
        }
    }

    /// Returns the id of an answer, which contains the client's id of its request, as with vLLM.
    fn answer_name(&self, api: Api, headers: &HeaderMap) -> String {
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let prefix = match api {
            Api::Chat => "chatcmpl",
            Api::Completion => "cmpl",
        };
        let client_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        match client_id {
            Some(id) if !id.is_empty() => format!("{prefix}-{id}"),
            _ => {
                let unique = mix(self.config.seed ^ mix(number));
                format!("{prefix}-{unique:016x}-{number:08x}")
            }
        }
    }

    fn answer_stream(&self, request: NamedRequest, (stream, written): OpenStream) -> Response {
        let mut submissions = Vec::new();
        for answer in request.answers {
            let output = StreamOutput::new(&stream, answer.text, answer.prompt_usage);
            submissions.push(Submission {
                name: request.name.clone(),
                arrived: request.arrived,
                job: answer.job,
                output: AnswerOutput::Stream(Box::new(output)),
            });
        }
        let body = StreamBody::new(StreamStart {
            engine: Arc::clone(&self.engine),
            submissions,
            written,
        });
        let content_type = "text/event-stream; charset=utf-8";
        ([(header::CONTENT_TYPE, content_type)], Body::new(body)).into_response()
    }

    async fn answer_whole(&self, request: NamedRequest) -> Result<Response, ApiError> {
        let mut waiting = Vec::new();
        for answer in request.answers {
            let (reply, usage) = oneshot::channel();
            // A cancelled request drops its tickets, which aborts its answers.
            let ticket = self.engine.submit(Submission {
                name: request.name.clone(),
                arrived: request.arrived,
                job: answer.job,
                output: AnswerOutput::Whole(WholeOutput { reply: Some(reply) }),
            });
            waiting.push((ticket, usage, answer.text, answer.prompt_usage));
        }
        let mut choices = Vec::new();
        let mut total = TokenUsage::default();
        for (_ticket, usage, text, prompt_usage) in waiting {
            let usage = usage.await.map_err(|_| ApiError::Stopped)?;
            total.add(usage, prompt_usage);
            let content = text.text(usage.completion_tokens);
            let mut choice = json!({ "index": choices.len() });
            match request.api {
                Api::Completion => choice["text"] = json!(content),
                Api::Chat => {
                    choice["message"] = json!({
                        "role": "assistant",
                        "content": content,
                        "refusal": null,
                        "tool_calls": [],
                    });
                }
            }
            choice["logprobs"] = Value::Null;
            choice["finish_reason"] = json!(text.finish().name());
            choice["stop_reason"] = Value::Null;
            choices.push(choice);
        }
        let object = match request.api {
            Api::Chat => "chat.completion",
            Api::Completion => "text_completion",
        };
        let answer = json!({
            "id": request.name,
            "object": object,
            "created": now_s(),
            "model": self.config.model,
            "choices": choices,
            "usage": total.json(),
        });
        Ok(Json(answer).into_response())
    }
}

/// Returns a deliberate error. That for a wrong key repeats the key, as with some engines.
fn deliberate_error(status: u16, headers: &HeaderMap) -> ApiError {
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
    ApiError::OnPurpose { status, message }
}
