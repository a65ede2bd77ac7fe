//! The flags of `lmrun load` for requests and responses.

use crate::core::RequestLimits;
use crate::core::workload::{Endpoint, RequestOptions};
use crate::driver::http::StreamEnd;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

/// The flags of `lmrun load` for requests and responses.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// API endpoint to request.
    #[arg(long, value_enum, default_value_t = Endpoints::Chat)]
    endpoint: Endpoints,
    /// Environment variable with the API key.
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,
    /// HTTP header to add. Can be repeated.
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// Fields to add to each request, as a JSON object; `null` removes a field.
    #[arg(long, value_name = "JSON", value_parser = object)]
    extra_body: Option<Map<String, Value>>,
    /// Always send `ignore_eos`, which makes responses exactly `--max-tokens` long
    /// [default: send it unless the server rejects a first request with it].
    #[arg(long, overrides_with = "no_ignore_eos")]
    ignore_eos: bool,
    /// Never send `ignore_eos`; responses may be shorter than `--max-tokens`.
    #[arg(long, overrides_with = "ignore_eos")]
    no_ignore_eos: bool,
    /// Last event of a complete stream.
    #[arg(long, value_enum, default_value_t = LastEvent::Done)]
    stream_end: LastEvent,
    /// Timeout of each request in seconds: `connect_s` (10), `first_token_s` (300),
    /// `between_chunks_s` (60) or `total_s` (900). Can be repeated.
    #[arg(long, value_name = "NAME=SECONDS", value_parser = limit)]
    limit: Vec<(String, f64)>,
}

/// The endpoints of the API.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Endpoints {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completions,
}

/// The last event of a stream.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum LastEvent {
    /// `[DONE]`.
    Done,
    /// An event with a finish reason.
    FinishReason,
}

impl Asked {
    /// Returns the options of the requests.
    pub(super) fn options(&self) -> RequestOptions {
        RequestOptions {
            endpoint: match self.endpoint {
                Endpoints::Chat => Endpoint::Chat,
                Endpoints::Completions => Endpoint::Completions,
            },
            api_key_env: self.api_key_env.clone(),
            headers: self.header.iter().cloned().collect(),
            extra_body: self.extra_body.clone().unwrap_or_default(),
            ..RequestOptions::default()
        }
    }

    /// Returns whether to send `ignore_eos`; `None` if a first request decides.
    pub(super) fn ignore_eos(&self) -> Option<bool> {
        match (self.ignore_eos, self.no_ignore_eos) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }

    /// Returns the last event of a complete stream.
    pub(super) fn stream_end(&self) -> StreamEnd {
        match self.stream_end {
            LastEvent::Done => StreamEnd::Done,
            LastEvent::FinishReason => StreamEnd::FinishReason,
        }
    }

    /// Returns the timeouts of a request.
    pub(super) fn limits(&self) -> RequestLimits {
        read_limits(&self.limit).expect("each was checked by its parser")
    }
}

fn read_limits(given: &[(String, f64)]) -> Result<RequestLimits, serde_json::Error> {
    let given: Map<String, Value> = given
        .iter()
        .map(|(name, seconds)| (name.clone(), (*seconds).into()))
        .collect();
    serde_json::from_value(given.into())
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().into(), value.trim().into()))
        }
        _ => Err("expected NAME: VALUE, such as \"x-tenant: a\"".into()),
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text)
        .map_err(|e| format!("expected a JSON object, such as '{{\"top_p\": 0.9}}': {e}"))
}

fn limit(text: &str) -> Result<(String, f64), String> {
    let limit = text
        .split_once('=')
        .and_then(|(name, seconds)| Some((name.into(), seconds.parse().ok()?)));
    let limit = limit.ok_or("expected NAME=SECONDS, such as first_token_s=30")?;
    read_limits(std::slice::from_ref(&limit)).map_err(|e| e.to_string())?;
    Ok(limit)
}
