//! Processes that an engine needs beside it: a cache server, a store.

use crate::core::engine::service::{Ask, Launch, Missing, Owned, Place, QUESTION, Site};
use crate::core::engine::spec::{grace, loopback, with_port};
use crate::core::{EngineError, Seconds};
use crate::driver::logs::LogFile;
use crate::driver::probe;
use crate::driver::process_tree::Graces;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How to start a helper. It is started before the first engine that names it, shared by all
/// that name the same, and ended after the last of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HelperSpec {
    /// Name in messages.
    pub name: String,
    /// Program and arguments, as an array.
    pub command: Vec<String>,
    /// Environment variables to add, as a map.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Environment variables to remove: names, or prefixes of names followed by `*`.
    #[serde(default)]
    pub unset_env: Vec<String>,
    /// Address to listen on.
    #[serde(default = "loopback")]
    pub host: String,
    /// Port to listen on.
    pub port: u16,
    /// Path that answers 200 when the helper is ready, such as `/health`, or `:8080/health` on
    /// another port.
    #[serde(default)]
    pub ready_path: Option<String>,
    /// Array of two texts: the helper is ready when it answers the first with the second, such as
    /// `["PING\r\n", "+PONG"]`.
    #[serde(default)]
    pub ready_answer: Option<(String, String)>,
    /// Time to get ready, in seconds.
    #[serde(default = "ready_timeout")]
    pub ready_timeout_s: Seconds,
    /// Time to exit after each signal, in seconds.
    #[serde(default = "grace")]
    pub grace_s: Seconds,
}

fn ready_timeout() -> Seconds {
    Seconds(60.0)
}

impl HelperSpec {
    /// How messages name it.
    fn who(&self) -> String {
        format!("helper `{}`", self.name)
    }
}

/// Ends those that nobody else uses, the last one that was started first.
///
/// # Errors
/// The first of which something survives.
pub async fn end(helpers: Vec<Arc<Helper>>) -> Result<(), EngineError> {
    let mut first = Ok(());
    for helper in helpers.into_iter().rev().filter_map(Arc::into_inner) {
        first = first.and(helper.close().await);
    }
    first
}

/// A helper that runs. Dropping it kills it.
pub struct Helper {
    /// What it was started from.
    pub spec: HelperSpec,
    owned: Owned,
}

impl Helper {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When its port is taken, its program is not to be had, it dies, or takes too long.
    pub async fn start(spec: HelperSpec, site: &Site) -> Result<Self, EngineError> {
        let limit = Duration::from_secs_f64(spec.ready_timeout_s.0);
        let owned = Owned::start(launch(&spec), site).await?;
        let helper = Self { spec, owned };
        if let Err(error) = helper.owned.wait_until_ready(limit, &helper).await {
            // What the user is to read is why it did not get ready.
            let _ = helper.close().await;
            return Err(error);
        }
        Ok(helper)
    }

    /// Whether its process lives.
    pub fn lives(&self) -> bool {
        self.owned.lives()
    }

    /// Resident memory of its processes, MiB.
    pub fn resident_mib(&self) -> Option<u64> {
        self.owned.resident_mib()
    }

    /// Where it writes: standard output and standard error.
    pub fn logs(&self) -> Vec<LogFile> {
        self.owned.log_files()
    }

    /// Waits for its process to end by itself. The wait holds nothing of it.
    pub fn death(&self) -> impl Future<Output = EngineError> + Send + use<> {
        self.owned.death()
    }

    /// Ends it.
    ///
    /// # Errors
    /// When something of it survives even SIGKILL, or it had ended by itself and nobody knows.
    pub async fn close(self) -> Result<(), EngineError> {
        self.owned.close().await
    }
}

impl Ask for Helper {
    async fn ask(&self) -> Result<(), Missing> {
        if self.is_ready().await {
            Ok(())
        } else {
            Err(Missing::Yet("it does not answer yet".into()))
        }
    }
}

fn launch(spec: &HelperSpec) -> Launch {
    let placed = |text: &String| with_port(text, spec.port);
    Launch {
        name: spec.name.clone(),
        who: spec.who(),
        host: spec.host.clone(),
        port: spec.port,
        elsewhere: "give it another `port`",
        argv: spec.command.iter().map(placed).collect(),
        env: spec
            .env
            .iter()
            .map(|(name, value)| (name.clone(), placed(value)))
            .collect(),
        unset: spec.unset_env.clone(),
        graces: Graces {
            interrupt_s: spec.grace_s.0,
            terminate_s: spec.grace_s.0,
        },
        place: Place::Here,
    }
}

impl Helper {
    async fn is_ready(&self) -> bool {
        let HelperSpec {
            host,
            port,
            ready_path,
            ready_answer,
            ..
        } = &self.spec;
        match (ready_path, ready_answer) {
            (Some(path), _) => {
                let colon = if path.starts_with(':') {
                    String::new()
                } else {
                    format!(":{port}")
                };
                probe::get(&format!("http://{host}{colon}{path}"), QUESTION)
                    .await
                    .is_ok()
            }
            (None, Some((question, answer))) => {
                let heard = probe::send_command((host, *port), question, QUESTION).await;
                heard.is_ok_and(|heard| heard.starts_with(answer))
            }
            (None, None) => probe::accepts((host, *port), QUESTION).await,
        }
    }
}
