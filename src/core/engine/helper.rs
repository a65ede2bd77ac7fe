//! Helpers: processes that engines need, such as a cache server or a store.

use crate::core::engine::service::{
    LaunchSpec, NotReady, PROBE_TIMEOUT, Placement, ReadinessProbe, Service, ServiceContext,
};
use crate::core::engine::spec::{grace, loopback, with_port};
use crate::core::{EngineError, Seconds};
use crate::driver::probe;
use crate::driver::process_tree::{CommandLine, Graces};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The options of a helper. It starts before the first engine that names it, serves all engines that
/// name the same options, and stops after the last of them.
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
    fn launch(&self, context: &ServiceContext) -> LaunchSpec {
        let [stdout, stderr] = context.log_files(self.port);
        let mut env = self.env.clone();
        for value in env.values_mut() {
            *value = with_port(value, self.port);
        }
        LaunchSpec {
            name: self.name.clone(),
            label: format!("helper `{}`", self.name),
            host: self.host.clone(),
            port: self.port,
            port_advice: "give it another `port`",
            command: CommandLine {
                argv: self
                    .command
                    .iter()
                    .map(|word| with_port(word, self.port))
                    .collect(),
                env,
                unset: self.unset_env.clone(),
                stdout,
                stderr,
            },
            graces: Graces {
                interrupt_s: self.grace_s.0,
                terminate_s: self.grace_s.0,
            },
            placement: Placement::Local,
        }
    }

    async fn is_ready(&self) -> bool {
        let address = (&*self.host, self.port);
        if let Some(path) = &self.ready_path {
            let url = if path.starts_with(':') {
                format!("http://{}{path}", self.host)
            } else {
                format!("http://{}:{}{path}", self.host, self.port)
            };
            return probe::get(&url, PROBE_TIMEOUT).await.is_ok();
        }
        match &self.ready_answer {
            Some((question, start)) => probe::send_command(address, question, PROBE_TIMEOUT)
                .await
                .is_ok_and(|answer| answer.starts_with(start)),
            None => probe::accepts(address, PROBE_TIMEOUT).await,
        }
    }
}

impl ReadinessProbe for HelperSpec {
    async fn probe(&self) -> Result<(), NotReady> {
        if self.is_ready().await {
            Ok(())
        } else {
            Err(NotReady::Pending("it does not answer yet".into()))
        }
    }
}

/// A started helper. Dropping it kills it.
pub struct Helper {
    /// The options.
    pub(crate) spec: HelperSpec,
    /// The service.
    pub(crate) service: Service,
}

impl Helper {
    /// Starts a helper and waits until it is ready.
    ///
    /// # Errors
    /// Fails if its port is in use, its program is missing, it exits or is not ready in time.
    pub(crate) async fn start(
        spec: HelperSpec,
        context: &ServiceContext,
    ) -> Result<Self, EngineError> {
        let timeout = Duration::from_secs_f64(spec.ready_timeout_s.0);
        let service = Service::start(spec.launch(context), context).await?;
        if let Err(error) = service.wait_until_ready(timeout, &spec).await {
            // An error of the stop would hide the reason.
            let _ = service.stop().await;
            return Err(error);
        }
        Ok(Self { spec, service })
    }
}

/// Stops the helpers that are not used elsewhere, in reverse order of their start.
///
/// # Errors
/// Returns the first error of a stop.
pub(crate) async fn stop_unused(helpers: Vec<Arc<Helper>>) -> Result<(), EngineError> {
    let mut first = Ok(());
    for helper in helpers.into_iter().rev().filter_map(Arc::into_inner) {
        first = first.and(helper.service.stop().await);
    }
    first
}
