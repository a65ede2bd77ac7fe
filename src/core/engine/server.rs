//! Where requests go.

use crate::core::workload::{Endpoint, RequestOptions};
use crate::driver::address::Address;
use crate::driver::http::{RequestLimits, StreamEnd, Target, TextPolicy, is_header};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

/// Where chat completions are, on most servers.
pub const CHAT_PATH: &str = "/v1/chat/completions";
/// Where plain completions are, on most servers.
pub const COMPLETIONS_PATH: &str = "/v1/completions";

/// An OpenAI API that answers, started by this program or not.
#[derive(Clone)]
pub struct Server {
    /// How tables and rows call it.
    pub name: Arc<str>,
    /// Which program it is.
    pub kind: Arc<str>,
    /// Whether its numbers are made up.
    pub simulated: bool,
    /// The model, as requests name it.
    pub model: Arc<str>,
    /// Where it answers.
    pub address: Address,
    /// What every request to it carries; an API key may be among them.
    pub headers: BTreeMap<String, String>,
    /// How its streams end.
    pub stream_end: StreamEnd,
    /// Where chat completions are.
    pub chat_path: String,
    /// Where plain completions are.
    pub completions_path: String,
    /// True if it reports cached tokens only for hits.
    pub reports_only_hits: bool,
    /// Fields that every request to it carries; `null` removes a field.
    pub extra_body: Map<String, Value>,
    /// How long requests to it may take.
    pub limits: RequestLimits,
    /// Whether it leaves connections open behind an answer, as far as was seen.
    pub keeps_alive: Arc<AtomicBool>,
    /// Holds the reason once the requests under way are to be given up.
    pub abort: watch::Receiver<Option<String>>,
}

impl Server {
    /// Returns the server without the field `ignore_eos` in its requests.
    #[must_use]
    pub fn without_ignore_eos(mut self) -> Self {
        self.extra_body.insert("ignore_eos".into(), Value::Null);
        self
    }

    /// Where requests with these options go.
    pub fn target(&self, options: &RequestOptions) -> Target {
        let path = match options.endpoint {
            Endpoint::Chat => &self.chat_path,
            Endpoint::Completions => &self.completions_path,
        };
        Target {
            scheme: self.address.scheme,
            authority: self.address.authority(),
            path: format!("{}{path}", self.address.prefix),
            end: self.stream_end,
            // What the workload says goes before.
            headers: self
                .headers
                .clone()
                .into_iter()
                .chain(options.all_headers())
                .collect(),
            limits: self.limits,
            text_policy: TextPolicy::Discard,
            keeps_alive: self.keeps_alive.clone(),
            abort: self.abort.clone(),
        }
    }
}

/// Checks headers that a script or a command line gives.
///
/// # Errors
/// Fails if one is not a header, or if an API key in it would be written to the manifest.
pub fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("authorization") {
            return Err(
                "would be written into the manifest: name a variable of the environment in \
                        `api_key_env`"
                    .into(),
            );
        }
        if !is_header(name, value) {
            return Err(format!(
                "has `{name}`, which is not a header, or whose value is not on one line"
            ));
        }
    }
    Ok(())
}
