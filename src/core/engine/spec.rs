//! The options of an engine. The standard library sets them for each kind of engine.

use crate::core::engine::server::{CHAT_PATH, COMPLETIONS_PATH, check_headers};
use crate::core::engine::service::{LaunchSpec, Placement, ServiceContext};
use crate::core::{HelperSpec, Seconds};
use crate::driver::address::Address;
use crate::driver::container::{ContainerSpec, Gpus};
use crate::driver::http::StreamEnd;
use crate::driver::process_tree::{CommandLine, Graces};
use crate::driver::secrets;
use crate::driver::text::is_printable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The options of an engine: a command that serves the OpenAI API, or the URL of a server.
///
/// In `command` and `env`, `{port}` is replaced by the port, and `{host}` by the address to listen
/// on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineSpec {
    /// Name in tables and messages.
    pub name: String,
    /// Kind of engine: `vllm`, `llamacpp`, `sim`.
    pub kind: String,
    /// Model in requests.
    pub model: String,
    /// Program and arguments, as an array.
    #[serde(default)]
    pub command: Vec<String>,
    /// Container image, or a map of container options (`std/container`).
    #[serde(default)]
    pub container: Option<ContainerSpec>,
    /// URL of a running server. lmrun neither starts nor stops it.
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
    /// Address to listen on.
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
    /// End of a stream: `"done"` for `[DONE]`, `"finish_reason"` for streams that end without it.
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
    /// Time to exit after an interrupt, before the engine is told to terminate, in seconds.
    #[serde(default = "grace")]
    pub interrupt_grace_s: Seconds,
    /// Time to exit after that, before the engine is killed, in seconds.
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
    /// Registers its secret values, so that they are removed from all outputs.
    pub(crate) fn register_secrets(&self) {
        for helper in &self.helpers {
            register_secrets(&helper.env);
            secrets::register_flags(&helper.command);
        }
        register_secrets(&self.env);
        secrets::register_flags(&self.command);
        register_secrets(&self.headers);
    }

    /// Returns the name in messages.
    pub(crate) fn label(&self) -> String {
        format!("engine `{}`", self.name)
    }

    /// Returns the advice for moving it to another port.
    pub(crate) fn port_advice(&self) -> &'static str {
        if self.port.is_some() {
            "give it another `port`"
        } else {
            "choose other ports with `-p P1 P2`"
        }
    }

    /// Checks that the options fit together.
    ///
    /// # Errors
    /// Fails if it has neither a command nor a URL, both of them, an invalid option, or no key.
    pub(crate) fn check(&self) -> Result<(), String> {
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
        if let Some(container) = &self.container {
            container.check()?;
        }
        check_headers(&self.headers).map_err(|problem| format!("`headers` {problem}"))?;
        match &self.api_key_env {
            Some(name) if self.api_key().is_none() => Err(format!(
                "`api_key_env` names `{name}`, which the environment does not have"
            )),
            _ => Ok(()),
        }
    }

    /// Returns the API key, if there is one.
    pub(crate) fn api_key(&self) -> Option<String> {
        let key = std::env::var(self.api_key_env.as_ref()?).ok();
        key.filter(|key| !key.is_empty())
    }

    /// Returns the address of its API on `port`.
    pub(crate) fn address(&self, port: u16) -> Address {
        self.url
            .clone()
            .unwrap_or_else(|| Address::plain(&self.host, port))
    }

    /// Returns the service to start on `port`.
    pub(crate) fn launch(&self, port: u16, context: &ServiceContext) -> LaunchSpec {
        let [stdout, stderr] = context.log_files(port);
        LaunchSpec {
            name: self.name.clone(),
            label: self.label(),
            host: self.host.clone(),
            port,
            port_advice: self.port_advice(),
            command: CommandLine {
                argv: self.argv(port),
                env: self.environment(port),
                unset: self.unset_env.clone(),
                stdout,
                stderr,
            },
            graces: Graces {
                interrupt_s: self.interrupt_grace_s.0,
                terminate_s: self.terminate_grace_s.0,
            },
            placement: match (&self.url, &self.container) {
                (Some(address), _) => Placement::External(address.clone()),
                (None, Some(container)) => {
                    Placement::Container(Box::new(container.clone()), self.container_gpus())
                }
                (None, None) => Placement::Local,
            },
        }
    }

    fn argv(&self, port: u16) -> Vec<String> {
        self.command
            .iter()
            .map(|word| self.substitute(word, port))
            .collect()
    }

    fn environment(&self, port: u16) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        for value in env.values_mut() {
            *value = self.substitute(value, port);
        }
        env
    }

    fn visible_gpus(&self) -> Option<&Gpus> {
        self.container.as_ref()?.gpus.as_ref()
    }

    fn container_gpus(&self) -> Gpus {
        match self.visible_gpus() {
            Some(gpus) => gpus.clone(),
            None if self.gpus.is_empty() => Gpus::These(Vec::new()),
            None => Gpus::All,
        }
    }

    /// Returns its GPUs as this machine numbers them. A container that sees some of them numbers them
    /// anew.
    pub(crate) fn host_gpus(&self) -> Vec<u32> {
        let Some(Gpus::These(visible)) = self.visible_gpus() else {
            return self.gpus.clone();
        };
        self.gpus
            .iter()
            .filter_map(|gpu| visible.get(*gpu as usize)?.parse().ok())
            .collect()
    }

    /// Replaces `{port}` and `{host}`.
    fn substitute(&self, text: &str, port: u16) -> String {
        let host = match &self.container {
            Some(container) => container.listens_on(&self.host),
            None => &self.host,
        };
        with_port(text, port).replace("{host}", host)
    }
}

fn register_secrets(values: &BTreeMap<String, String>) {
    secrets::register(
        values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
}

/// Replaces `{port}`.
pub(crate) fn with_port(text: &str, port: u16) -> String {
    text.replace("{port}", &port.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_and_host_are_substituted() {
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
