//! What is needed to start an engine. Which values, the standard library knows.

use crate::core::engine::server::{CHAT_PATH, COMPLETIONS_PATH, check_headers};
use crate::core::{HelperSpec, Seconds};
use crate::driver::address::Address;
use crate::driver::container::{ContainerSpec, Gpus};
use crate::driver::http::StreamEnd;
use crate::driver::secrets;
use crate::driver::text::is_printable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How to start one serving process that answers the OpenAI API, or where one answers already.
///
/// `{port}` in `command` and `env` becomes the port that the engine is given at its start, and
/// `{host}` the address that it listens on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineSpec {
    /// Name in tables and messages.
    pub name: String,
    /// Which program it is: `vllm`, `llamacpp`, `sim`.
    pub kind: String,
    /// The model, as requests name it.
    pub model: String,
    /// Program and arguments, as an array.
    #[serde(default)]
    pub command: Vec<String>,
    /// Container image, or a map of container options (`std/container`).
    #[serde(default)]
    pub container: Option<ContainerSpec>,
    /// Where it answers already: it is neither started nor ended.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub url: Option<Address>,
    /// Environment variable with the API key. The key itself is written nowhere.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// Environment variables to add, as a map.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Environment variables to remove: names, or prefixes of names followed by `*`.
    #[serde(default)]
    pub unset_env: Vec<String>,
    /// Where it listens.
    #[serde(default = "loopback")]
    pub host: String,
    /// Port to listen on; 0 for any free port. By default, one of the ports of the run (`--ports`).
    #[serde(default)]
    pub port: Option<u16>,
    /// Indices of the GPUs to use. Engines with a common GPU start one after the other.
    #[serde(default)]
    pub gpus: Vec<u32>,
    /// The engine's times are simulated.
    #[serde(default)]
    pub simulated: bool,
    /// The metric that tells its GPU memory in MiB, by `gpu` label: of a simulated engine.
    #[serde(default)]
    pub memory_metric: Option<String>,
    /// Path that answers 200 when the engine is ready.
    #[serde(default = "health")]
    pub health_path: String,
    /// Path of chat completions, if not `/v1/chat/completions`.
    #[serde(default = "chat")]
    pub chat_path: String,
    /// Path of completions, if not `/v1/completions`.
    #[serde(default = "completions")]
    pub completions_path: String,
    /// End of a stream: "done" for `[DONE]`, "finish_reason" for streams that end without it.
    #[serde(default)]
    pub stream_end: StreamEnd,
    /// Path that counts tokens, if not `/tokenize`.
    #[serde(default = "tokenize")]
    pub tokenize_path: String,
    /// True if it reports cached tokens only for requests that hit its cache.
    #[serde(default)]
    pub reports_only_hits: bool,
    /// Time to get ready, in seconds.
    #[serde(default = "ready_timeout")]
    pub ready_timeout_s: Seconds,
    /// How long it may take to end after an interrupt, before it is told to terminate.
    #[serde(default = "grace")]
    pub interrupt_grace_s: Seconds,
    /// How long it may take to end after that, before it is killed.
    #[serde(default = "grace")]
    pub terminate_grace_s: Seconds,
    /// Helper processes to start before the engine, as an array.
    #[serde(default)]
    pub helpers: Vec<HelperSpec>,
    /// Additional HTTP headers of every request, as a map.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The engine supports the field `ignore_eos`, which makes the lengths of answers exact. By
    /// default, lmrun finds out with a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_eos: Option<bool>,
    /// Additional fields of every request body, as a map; `()` removes a field.
    #[serde(default)]
    pub extra_body: Map<String, Value>,
}

pub(crate) fn loopback() -> String {
    "127.0.0.1".into()
}

fn health() -> String {
    "/health".into()
}

fn chat() -> String {
    CHAT_PATH.into()
}

fn completions() -> String {
    COMPLETIONS_PATH.into()
}

fn tokenize() -> String {
    "/tokenize".into()
}

fn ready_timeout() -> Seconds {
    Seconds(300.0)
}

pub(crate) fn grace() -> Seconds {
    Seconds(5.0)
}

impl EngineSpec {
    /// Notes which of its values nobody should read, before any of it is written.
    pub fn learn_secrets(&self) {
        let helpers = self
            .helpers
            .iter()
            .map(|helper| (&helper.env, &helper.command));
        for (env, command) in helpers.chain([(&self.env, &self.command)]) {
            secrets::register(
                env.iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            );
            secrets::register_flags(command);
        }
        secrets::register(
            self.headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
    }

    /// How messages name it.
    pub fn who(&self) -> String {
        format!("engine `{}`", self.name)
    }

    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// When there is nothing to be started, or more than one thing, or no key.
    pub fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || !self.name.chars().all(is_printable) {
            return Err(format!(
                "`name` has to be one line of printable text, found {:?}",
                self.name
            ));
        }
        match (self.command.is_empty(), &self.url) {
            (true, None) => {
                return Err("the command is empty: give program and arguments, or a `url`".into());
            }
            (false, Some(_)) => {
                return Err("what answers at a `url` has no `command`: give one of them".into());
            }
            _ => {}
        }
        self.container
            .as_ref()
            .map_or(Ok(()), ContainerSpec::check)?;
        check_headers(&self.headers).map_err(|problem| format!("`headers` {problem}"))?;
        match &self.api_key_env {
            Some(name) if self.api_key().is_none() => Err(format!(
                "`api_key_env` names `{name}`, which the environment does not have"
            )),
            _ => Ok(()),
        }
    }

    /// The API key, if it takes one.
    pub fn api_key(&self) -> Option<String> {
        let key = std::env::var(self.api_key_env.as_ref()?).ok();
        key.filter(|key| !key.is_empty())
    }

    /// Where it answers when `port` is its port.
    pub fn address(&self, port: u16) -> Address {
        self.url
            .clone()
            .unwrap_or_else(|| Address::plain(&self.host, port))
    }

    /// The command, with `port` in its place.
    pub fn argv(&self, port: u16) -> Vec<String> {
        self.command
            .iter()
            .map(|word| self.placed(word, port))
            .collect()
    }

    /// The environment, with `port` in its place.
    pub fn environment(&self, port: u16) -> BTreeMap<String, String> {
        self.env
            .iter()
            .map(|(name, value)| (name.clone(), self.placed(value, port)))
            .collect()
    }

    /// The GPUs that a container of it sees.
    pub fn container_gpus(&self) -> Gpus {
        let said = self
            .container
            .as_ref()
            .and_then(|container| container.gpus.clone());
        said.unwrap_or(if self.gpus.is_empty() {
            Gpus::These(Vec::new())
        } else {
            Gpus::All
        })
    }

    /// Its GPUs as this machine numbers them; in a container that sees some of them they have other numbers.
    pub fn host_gpus(&self) -> Vec<u32> {
        let Some(Gpus::These(seen)) = self
            .container
            .as_ref()
            .and_then(|container| container.gpus.as_ref())
        else {
            return self.gpus.clone();
        };
        self.gpus
            .iter()
            .filter_map(|gpu| seen.get(*gpu as usize)?.parse().ok())
            .collect()
    }

    fn placed(&self, text: &str, port: u16) -> String {
        let host = self
            .container
            .as_ref()
            .map_or(&*self.host, |container| container.listens_on(&self.host));
        with_port(text, port).replace("{host}", host)
    }
}

pub(crate) fn with_port(text: &str, port: u16) -> String {
    text.replace("{port}", &port.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_takes_its_place() {
        let spec: EngineSpec = serde_json::from_str(
            r#"{"name": "a", "kind": "k", "model": "m", "command": ["serve", "--port", "{port}", "--host={host}"],
                "env": {"URL": "http://127.0.0.1:{port}"}}"#,
        )
        .expect("a spec");
        assert_eq!(
            spec.argv(8000),
            ["serve", "--port", "8000", "--host=127.0.0.1"]
        );
        assert_eq!(spec.environment(8001)["URL"], "http://127.0.0.1:8001");
        assert_eq!(
            (spec.ready_timeout_s, spec.host.as_str()),
            (Seconds(300.0), "127.0.0.1")
        );
    }
}
