//! Started engines: readiness, health, exit and close.

use crate::core::engine::gpu_release::GpuRelease;
use crate::core::engine::helper::{self, Helper};
use crate::core::engine::service::{
    NotReady, PROBE_INTERVAL, PROBE_TIMEOUT, ReadinessProbe, Service, ServiceContext,
};
use crate::core::{EngineError, EngineSpec, Server};
use crate::driver::gpu;
use crate::driver::probe::{self, ProbeError, TokenizeEndpoint};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinSet;

/// The owner of a simulator's models, as the simulator reports it.
const SIMULATOR: &str = "lmrun-sim";

/// A started engine. Dropping it kills it.
pub struct Engine {
    /// The spec.
    pub(crate) spec: Arc<EngineSpec>,
    /// The port that it listens on.
    pub(crate) port: u16,
    /// The server that requests are sent to.
    pub(crate) server: Arc<Server>,
    /// The service.
    pub(crate) service: Service,
    gpu_release: GpuRelease,
    helpers: Mutex<Vec<Arc<Helper>>>,
}

impl Engine {
    /// Starts an engine without waiting until it is ready.
    ///
    /// # Errors
    /// Fails if the port is in use, or the program or the image is missing.
    pub(crate) async fn start(
        spec: EngineSpec,
        port: u16,
        context: &ServiceContext,
    ) -> Result<Self, EngineError> {
        let gpu_release = GpuRelease::before_start(&spec);
        let service = Service::start(spec.launch(port, context), context).await?;
        let spec = Arc::new(spec);
        Ok(Self {
            server: Arc::new(Server::new(spec.clone(), spec.address(port))),
            spec,
            port,
            service,
            gpu_release,
            helpers: Mutex::default(),
        })
    }

    /// Returns the engine, which stops `helpers` after itself.
    pub(crate) fn with_helpers(self, helpers: Vec<Arc<Helper>>) -> Self {
        *self.helpers.lock() = helpers;
        self
    }

    /// Returns the memory in use on its GPUs, by all processes, MiB; `None` if it is unknown.
    pub(crate) fn gpu_memory_mib(&self) -> Option<u64> {
        if self.spec.simulated || self.spec.gpus.is_empty() {
            return None;
        }
        self.spec.gpus.iter().map(|gpu| gpu::used_mib(*gpu)).sum()
    }

    /// Waits until it is ready. Returns the time since its start, seconds.
    ///
    /// # Errors
    /// Fails if it or a helper exits, or if it is not ready within `timeout`.
    pub(crate) async fn wait_until_ready(&self, timeout: Duration) -> Result<f64, EngineError> {
        let mut helper_exits = self.helper_exits();
        tokio::select! {
            ready = self.service.wait_until_ready(timeout, self) => ready,
            Some(Ok(error)) = helper_exits.join_next() => Err(error),
        }
    }

    /// Returns the number of tokens that it counts in `text`, or `None` if it does not count.
    pub(crate) async fn count_tokens(&self, text: &str) -> Option<u64> {
        let url = format!("{}{}", self.server.base_url(), self.spec.tokenize_path);
        let endpoint = TokenizeEndpoint {
            url: &url,
            headers: self.server.headers(),
            model: &self.spec.model,
        };
        endpoint.count(text, PROBE_TIMEOUT).await.ok()
    }

    /// Returns true if it is running and its health check succeeds.
    pub(crate) async fn is_healthy(&self) -> bool {
        self.service.is_running() && self.health().await.is_ok()
    }

    /// Asks for its health once.
    ///
    /// # Errors
    /// Fails if it is not healthy.
    pub(crate) async fn health(&self) -> Result<(), String> {
        self.check_health().await.map_err(NotReady::into_text)
    }

    async fn check_health(&self) -> Result<(), NotReady> {
        let url = format!("{}{}", self.server.base_url(), self.spec.health_path);
        match probe::get_with(&url, self.server.headers(), PROBE_TIMEOUT).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.not_ready(&error)),
        }
    }

    fn not_ready(&self, error: &ProbeError) -> NotReady {
        match error {
            ProbeError::Unreachable { .. } if !self.service.is_external() => {
                NotReady::Pending("it does not answer yet".into())
            }
            ProbeError::Unreachable { .. } | ProbeError::Status { status: 500.., .. } => {
                NotReady::Pending(error.to_string())
            }
            answered => NotReady::WrongAnswer(answered.to_string()),
        }
    }

    /// Waits until it or one of its helpers exits, and returns the error.
    pub(crate) async fn exit_error(&self) -> EngineError {
        let mut helper_exits = self.helper_exits();
        tokio::select! {
            error = self.service.exit_error() => error,
            Some(Ok(error)) = helper_exits.join_next() => error,
        }
    }

    /// Returns true if `helper` is one of its helpers.
    pub(crate) fn uses(&self, helper: &Arc<Helper>) -> bool {
        self.helpers
            .lock()
            .iter()
            .any(|used| Arc::ptr_eq(used, helper))
    }

    /// Returns true if it is starting on a GPU that `spec` uses too.
    pub(crate) fn is_starting_on_gpus_of(&self, spec: &EngineSpec) -> bool {
        let shares = self.spec.gpus.iter().any(|gpu| spec.gpus.contains(gpu));
        shares && self.service.is_starting()
    }

    fn helper_exits(&self) -> JoinSet<EngineError> {
        let mut exits = JoinSet::new();
        for helper in &*self.helpers.lock() {
            exits.spawn(helper.service.exit_error());
        }
        exits
    }

    /// Stops it, waits until its GPU memory is released, and stops the helpers that no other engine
    /// uses. A second call has no effect.
    ///
    /// # Errors
    /// Fails if a process survives SIGKILL, or if the engine had exited and no caller was told.
    pub(crate) async fn close(&self) -> Result<(), EngineError> {
        if self.service.is_stopped() {
            return Ok(());
        }
        self.server.abort_requests("the engine was closed");
        let members = self.service.members();
        let stopped = self.service.stop().await;
        if let Some(problem) = self.gpu_release.wait_for_gpu_release(&members).await {
            self.service
                .warn(format!("{}: {problem}", self.spec.label()));
        }
        let helpers = std::mem::take(&mut *self.helpers.lock());
        stopped.and(helper::stop_unused(helpers).await)
    }
}

impl ReadinessProbe for Engine {
    async fn probe(&self) -> Result<(), NotReady> {
        self.check_health().await?;
        let base_url = self.server.base_url();
        let models = probe::models_with(&base_url, self.server.headers(), PROBE_TIMEOUT)
            .await
            .map_err(|error| self.not_ready(&error))?;
        let Some(model) = models.iter().find(|model| model.id == self.spec.model) else {
            let ids: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
            return Err(NotReady::WrongAnswer(format!(
                "it serves {}, not `{}`",
                probe::quoted_list(&ids),
                self.spec.model
            )));
        };
        let is_simulator = model.owned_by == SIMULATOR;
        if self.service.is_external() && is_simulator && !self.spec.simulated {
            let problem = "it is a simulator: add `simulated: true`";
            return Err(NotReady::WrongAnswer(problem.into()));
        }
        Ok(())
    }
}

/// Probes an engine until it is ready, so that the time is recorded also if no caller waits for it.
/// Does not keep the engine alive.
pub(crate) async fn record_ready_time(engine: Weak<Engine>) {
    while let Some(engine) = engine.upgrade()
        && engine.service.is_starting()
    {
        let _ = engine.service.probe(&*engine).await;
        drop(engine);
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

/// Waits until all engines are ready.
///
/// # Errors
/// Returns the error of the first engine that does not become ready.
pub(crate) async fn all_ready(engines: Vec<Arc<Engine>>) -> Result<(), EngineError> {
    let mut waiting = JoinSet::new();
    for engine in engines {
        let timeout = Duration::from_secs_f64(engine.spec.ready_timeout_s.0);
        waiting.spawn(async move { engine.wait_until_ready(timeout).await });
    }
    while let Some(Ok(ready)) = waiting.join_next().await {
        ready?;
    }
    Ok(())
}
