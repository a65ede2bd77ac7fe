//! Servers of the OpenAI API, and the targets of requests to them.

use crate::core::EngineSpec;
use crate::core::workload::{Endpoint, RequestOptions};
use crate::driver::address::Address;
use crate::driver::http::{RequestLimits, Target, TextPolicy, is_header};
use crate::driver::secrets;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// The default path of chat completions.
pub(crate) const CHAT_PATH: &str = "/v1/chat/completions";
/// The default path of plain completions.
pub(crate) const COMPLETIONS_PATH: &str = "/v1/completions";

/// A server of the OpenAI API, started by lmrun or not.
///
/// It must not be printed: its headers may contain an API key.
pub(crate) struct Server {
    /// The spec.
    pub(crate) spec: Arc<EngineSpec>,
    address: Address,
    headers: BTreeMap<String, String>,
    body_without_ignore_eos: Map<String, Value>,
    accepts_ignore_eos: OnceLock<bool>,
    keeps_alive: Arc<AtomicBool>,
    abort: watch::Sender<Option<String>>,
}

impl Server {
    /// A server that answers at `address`.
    pub(crate) fn new(spec: Arc<EngineSpec>, address: Address) -> Self {
        let mut headers = spec.headers.clone();
        if let Some(key) = spec.api_key() {
            secrets::register([("API_KEY", key.as_str())]);
            headers.insert("authorization".into(), format!("Bearer {key}"));
        }
        let mut body_without_ignore_eos = spec.extra_body.clone();
        body_without_ignore_eos.insert("ignore_eos".into(), Value::Null);
        Self {
            address,
            headers,
            body_without_ignore_eos,
            accepts_ignore_eos: spec.ignore_eos.map_or_else(OnceLock::new, OnceLock::from),
            keeps_alive: Arc::new(AtomicBool::new(true)),
            abort: watch::channel(None).0,
            spec,
        }
    }

    /// Returns the URL without a path of the API.
    pub(crate) fn base_url(&self) -> String {
        self.address.base()
    }

    /// Returns the headers of every request, including the API key.
    pub(crate) fn headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }

    /// Returns true if requests may have the field `ignore_eos`, or `None` if that is unknown.
    pub(crate) fn accepts_ignore_eos(&self) -> Option<bool> {
        self.accepts_ignore_eos.get().copied()
    }

    /// Stores whether requests may have the field `ignore_eos`. The first call decides.
    pub(crate) fn set_accepts_ignore_eos(&self, accepts: bool) {
        let _ = self.accepts_ignore_eos.set(accepts);
    }

    /// Returns further fields of every request body. The value `null` removes a field.
    pub(crate) fn extra_body(&self) -> &Map<String, Value> {
        match self.accepts_ignore_eos() {
            Some(false) => &self.body_without_ignore_eos,
            _ => &self.spec.extra_body,
        }
    }

    /// Returns the target of requests. An earlier [`Server::abort_requests`] does not affect them.
    pub(crate) fn target(&self, options: &RequestOptions, limits: RequestLimits) -> Target {
        self.abort.send_replace(None);
        let path = match options.endpoint {
            Endpoint::Chat => &self.spec.chat_path,
            Endpoint::Completions => &self.spec.completions_path,
        };
        // The workload's headers replace the server's.
        let mut headers = self.headers.clone();
        headers.extend(options.all_headers());
        Target {
            scheme: self.address.scheme,
            authority: self.address.authority(),
            path: format!("{}{path}", self.address.prefix),
            end: self.spec.stream_end,
            headers,
            limits,
            text_policy: TextPolicy::Discard,
            keeps_alive: self.keeps_alive.clone(),
            abort: self.abort.subscribe(),
        }
    }

    /// Aborts all requests in flight. They fail with `reason`.
    pub(crate) fn abort_requests(&self, reason: &str) {
        self.abort.send_replace(Some(reason.into()));
    }
}

/// Checks headers from a script or the command line.
///
/// # Errors
/// Fails if a header is invalid, or if it would write an API key into the manifest.
pub(crate) fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("authorization") {
            let problem = "would be written to the manifest: name an environment variable in \
                           `api_key_env`";
            return Err(problem.into());
        }
        if !is_header(name, value) {
            return Err(format!(
                "has an invalid header `{name}`: expected a name without spaces and a value in one line"
            ));
        }
    }
    Ok(())
}
