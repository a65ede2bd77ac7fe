//! An engine that runs: started, awaited, asked, closed.

use crate::core::engine::gpu_release::Vram;
use crate::core::engine::helper::{self, Helper};
use crate::core::engine::service::{Ask, Launch, Missing, Owned, POLL, Place, QUESTION, Site};
use crate::core::{EngineError, EngineSpec, Server};
use crate::driver::gpu;
use crate::driver::logs::LogFile;
use crate::driver::probe::{self, ProbeError, TokenizeEndpoint};
use crate::driver::process_tree::Graces;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinSet;

/// Who owns the models of a simulator, as it says itself.
const SIMULATOR: &str = "lmrun-sim";

/// How to have an engine on another port.
pub fn other_port(spec: &EngineSpec) -> &'static str {
    if spec.port.is_some() {
        "give it another `port`"
    } else {
        "choose other ports with `-p P1 P2`"
    }
}

/// Whether an engine can be used.
#[derive(Debug)]
pub enum Readiness {
    /// Its process lives, it says it is healthy, and it names its model.
    Ready {
        /// How long that took since its start, seconds.
        after_s: f64,
    },
    /// It is not, and why.
    NotReady(EngineError),
}

/// A started engine. Dropping it kills it.
pub struct Engine {
    /// What it was started from.
    pub spec: Arc<EngineSpec>,
    /// Where it listens.
    pub port: u16,
    /// The server that requests are sent to.
    pub(crate) server: Arc<Server>,
    owned: Owned,
    vram: Vram,
    helpers: Mutex<Vec<Arc<Helper>>>,
}

impl Engine {
    /// Starts the process and returns at once.
    ///
    /// # Errors
    /// When its port is taken or its program is not to be had.
    pub async fn start(
        spec: EngineSpec,
        port: u16,
        site: &Site,
        helpers: Vec<Arc<Helper>>,
    ) -> Result<Self, EngineError> {
        let vram = Vram::before(&spec);
        let owned = Owned::start(launch(&spec, port), site).await?;
        let spec = Arc::new(spec);
        let server = Arc::new(Server::new(spec.clone(), spec.address(port)));
        Ok(Self {
            spec,
            port,
            server,
            owned,
            vram,
            helpers: Mutex::new(helpers),
        })
    }

    /// Where it answers.
    pub fn base(&self) -> String {
        self.server.base_url()
    }

    /// Resident memory of its processes, MiB; `None` where they are not this machine's.
    pub fn resident_mib(&self) -> Option<u64> {
        self.owned.resident_mib()
    }

    /// Memory used on its GPUs by it and by others, MiB; `None` where it has none or they do not answer.
    pub fn gpu_memory_mib(&self) -> Option<u64> {
        let gpus = if self.spec.simulated {
            &[]
        } else {
            &self.spec.gpus[..]
        };
        gpus.iter()
            .map(|gpu| gpu::used_mib(*gpu))
            .sum::<Option<u64>>()
            .filter(|_| !gpus.is_empty())
    }

    /// Where it writes: standard output and standard error; nowhere where it runs elsewhere.
    pub fn logs(&self) -> Vec<LogFile> {
        self.owned.log_files()
    }

    /// Waits until it is ready, has died, or `limit` is over.
    pub async fn wait_until_ready(&self, limit: Duration) -> Readiness {
        let mut helpers = self.helper_deaths();
        let ready = tokio::select! {
            ready = self.owned.wait_until_ready(limit, self) => ready,
            Some(Ok(error)) = helpers.join_next() => Err(error),
        };
        match ready {
            Ok(after_s) => Readiness::Ready { after_s },
            Err(error) => Readiness::NotReady(error),
        }
    }

    /// How many tokens it counts in `text`; `None` where it does not count.
    pub async fn count_tokens(&self, text: &str) -> Option<u64> {
        let url = format!("{}{}", self.base(), self.spec.tokenize_path);
        let endpoint = TokenizeEndpoint {
            url: &url,
            headers: self.server.headers(),
            model: &self.spec.model,
        };
        endpoint.count(text, QUESTION).await.ok()
    }

    /// Whether it lives and says that it is healthy, now.
    pub async fn is_healthy(&self) -> bool {
        self.owned.lives() && self.health().await.is_ok()
    }

    /// Checks that what answers on its port is itself, as far as that can be seen.
    ///
    /// # Errors
    /// Fails if another process answers there.
    pub async fn check_port(&self) -> Result<(), EngineError> {
        self.owned.check_port().await
    }

    /// What it says of its health, now.
    ///
    /// # Errors
    /// When it is not healthy.
    pub async fn health(&self) -> Result<(), String> {
        self.check_health().await.map_err(Missing::into_text)
    }

    async fn check_health(&self) -> Result<(), Missing> {
        let url = format!("{}{}", self.base(), self.spec.health_path);
        let answer = probe::get_with(&url, self.server.headers(), QUESTION).await;
        answer.map(drop).map_err(|e| self.missing(&e))
    }

    /// What an answer like that leaves to be awaited.
    fn missing(&self, error: &ProbeError) -> Missing {
        match error {
            ProbeError::Unreachable { .. } if !self.owned.is_elsewhere() => {
                Missing::Yet("it does not answer yet".into())
            }
            ProbeError::Unreachable { .. } | ProbeError::Status { status: 500.., .. } => {
                Missing::Yet(error.to_string())
            }
            answered => Missing::Wrong(answered.to_string()),
        }
    }

    /// Waits for its process, or one that it needs beside it, to end by itself.
    pub async fn died(&self) -> EngineError {
        let mut helpers = self.helper_deaths();
        tokio::select! {
            error = self.owned.death() => error,
            Some(Ok(error)) = helpers.join_next() => error,
        }
    }

    /// Whether this helper was started for it.
    pub fn uses(&self, helper: &Arc<Helper>) -> bool {
        self.helpers
            .lock()
            .iter()
            .any(|used| Arc::ptr_eq(used, helper))
    }

    /// Whether it is still starting, on a GPU that `spec` uses too.
    pub fn starts_beside(&self, spec: &EngineSpec) -> bool {
        let shares = self.spec.gpus.iter().any(|gpu| spec.gpus.contains(gpu));
        shares && self.owned.is_starting()
    }

    /// Whether its process lives and has `port`.
    pub fn has_port(&self, port: u16) -> bool {
        self.port == port && self.owned.holds_its_port()
    }

    fn helper_deaths(&self) -> JoinSet<EngineError> {
        let mut deaths = JoinSet::new();
        for helper in &*self.helpers.lock() {
            deaths.spawn(helper.death());
        }
        deaths
    }

    /// Ends it and everything that came from it; the second call does nothing.
    ///
    /// # Errors
    /// When something of it survives even SIGKILL, or it had ended by itself and nobody knows.
    pub async fn close(&self) -> Result<(), EngineError> {
        if self.owned.is_closed() {
            return Ok(());
        }
        self.server.abort_requests("the engine was closed");
        let members = self.owned.members();
        let closed = self.owned.close().await;
        if let Some(held) = self.vram.given_back(&members).await {
            self.owned.warn(format!("{}: {held}", self.spec.who()));
        }
        let helpers = std::mem::take(&mut *self.helpers.lock());
        closed.and(helper::end(helpers).await)
    }

    /// Whether [`Engine::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.owned.is_closed()
    }
}

/// Notes when an engine gets ready, also if nothing waits for it. It does not keep the engine alive.
pub async fn note_ready(engine: Weak<Engine>) {
    while let Some(engine) = engine.upgrade().filter(|engine| engine.owned.is_starting()) {
        let _ = engine.owned.look(&*engine).await; // asked again, until it is ready or has ended
        drop(engine);
        tokio::time::sleep(POLL).await;
    }
}

/// Waits for all of them at the same time; the first that does not get ready ends the wait.
///
/// # Errors
/// That of the first that is not.
pub async fn all_ready(engines: Vec<Arc<Engine>>) -> Result<(), EngineError> {
    let mut waiting = JoinSet::new();
    for engine in engines {
        let limit = Duration::from_secs_f64(engine.spec.ready_timeout_s.0);
        waiting.spawn(async move { engine.wait_until_ready(limit).await });
    }
    while let Some(Ok(readiness)) = waiting.join_next().await {
        if let Readiness::NotReady(error) = readiness {
            return Err(error);
        }
    }
    Ok(())
}

impl Ask for Engine {
    async fn ask(&self) -> Result<(), Missing> {
        self.check_health().await?;
        let served = probe::models_with(&self.base(), self.server.headers(), QUESTION).await;
        let served = served.map_err(|e| self.missing(&e))?;
        let Some(model) = served.iter().find(|model| model.id == self.spec.model) else {
            let ids: Vec<&str> = served.iter().map(|model| model.id.as_str()).collect();
            let problem = format!(
                "it serves {}, not `{}`",
                probe::quoted_list(&ids),
                self.spec.model
            );
            return Err(Missing::Wrong(problem));
        };
        // What lmrun starts itself, the spec knows.
        if self.owned.is_elsewhere() && model.owned_by == SIMULATOR && !self.spec.simulated {
            let problem = "it is a simulator, whose numbers are made up: give `simulated: true`";
            return Err(Missing::Wrong(problem.into()));
        }
        Ok(())
    }
}

fn launch(spec: &EngineSpec, port: u16) -> Launch {
    Launch {
        name: spec.name.clone(),
        who: spec.who(),
        host: spec.host.clone(),
        port,
        elsewhere: other_port(spec),
        argv: spec.argv(port),
        env: spec.environment(port),
        unset: spec.unset_env.clone(),
        graces: Graces {
            interrupt_s: spec.interrupt_grace_s.0,
            terminate_s: spec.terminate_grace_s.0,
        },
        place: place(spec),
    }
}

fn place(spec: &EngineSpec) -> Place {
    match (&spec.url, &spec.container) {
        (Some(address), _) => Place::Elsewhere(address.clone()),
        (None, Some(container)) => {
            Place::Container(Box::new(container.clone()), spec.container_gpus())
        }
        (None, None) => Place::Here,
    }
}
