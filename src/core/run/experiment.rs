//! Experiments: one workload, sent to several engines at the same time.

use crate::core::run::client::{Client, Measurement};
use crate::core::run::memory::MemoryWatch;
use crate::core::run::prepare::Prepared;
use crate::core::workload::{Lexicon, WorkloadConfig};
use crate::core::{
    Engine, EngineError, EngineSpec, Event, ExperimentResult, Fleet, RequestLimits, Seconds,
    TestRun,
};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use thiserror::Error;
use tokio::task::JoinSet;

/// The engines of a run and the client that measures them.
pub(crate) struct Runner {
    /// The engines.
    pub(crate) fleet: Fleet,
    /// The client that sends the requests.
    pub(crate) client: Client,
    /// The results of earlier questions to engines.
    pub(crate) answers: EngineAnswers,
}

/// Results of questions to engines. Engines with equal specs are asked once.
#[derive(Default)]
pub(crate) struct EngineAnswers {
    /// The words that an engine counts as one token each.
    pub(crate) lexicons: Mutex<Vec<(EngineSpec, Arc<Lexicon>)>>,
    /// True if an engine accepts the field `ignore_eos`.
    pub(crate) accepts_ignore_eos: Mutex<Vec<(EngineSpec, bool)>>,
}

/// An engine of an experiment.
#[derive(Clone)]
pub(crate) enum Arm {
    /// An engine that is started for the experiment and closed after it.
    Spec(Box<EngineSpec>),
    /// A running engine, which is left running.
    Handle(Arc<Engine>),
}

impl Arm {
    fn spec(&self) -> &EngineSpec {
        match self {
            Self::Spec(spec) => spec,
            Self::Handle(engine) => &engine.spec,
        }
    }
}

/// An experiment before it is run.
pub(crate) struct ExperimentPlan<'a> {
    /// The workload, the same for every engine.
    pub(crate) config: &'a WorkloadConfig,
    /// The engines.
    pub(crate) arms: Vec<Arm>,
    /// The options of the experiment.
    pub(crate) options: RunOptions,
}

/// Options of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunOptions {
    /// Number of requests to each engine before the workload, which are not measured.
    pub(crate) warmup: usize,
    /// Accept failed requests: they do not fail the test.
    pub(crate) may_fail: bool,
    /// Timeouts of each request, in seconds.
    pub(crate) limits: RequestLimits,
    /// Maximum delay of sending a request, in seconds. By default, `--max-send-lag-s`.
    pub(crate) max_send_lag_s: Option<Seconds>,
    /// Maximum share by which the output tokens of the engines may differ.
    #[serde(deserialize_with = "share")]
    pub(crate) max_output_difference: f64,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            warmup: 2,
            may_fail: false,
            limits: RequestLimits::default(),
            max_send_lag_s: None,
            max_output_difference: 0.05,
        }
    }
}

fn share<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(from)?;
    let expected = "a share, from 0 to 1";
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(D::Error::invalid_value(Unexpected::Float(share), &expected))
    }
}

/// The reason why an experiment has no result.
#[derive(Debug, Error)]
pub enum RunError {
    /// An engine is not ready, or has exited.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The system does not allow enough open connections.
    #[error("{0}")]
    TooMany(String),
    /// The run was interrupted.
    #[error("interrupted")]
    Interrupted,
}

impl Runner {
    /// Creates a runner.
    pub(crate) fn new(fleet: Fleet, client: Client) -> Self {
        Self {
            fleet,
            client,
            answers: EngineAnswers::default(),
        }
    }

    /// Sends the workload of `plan` to all its engines at the same time, as an experiment of
    /// `test`.
    ///
    /// # Errors
    /// Fails if an engine does not start or exits, or if the run is interrupted. The rows of
    /// completed requests are sent as events before.
    pub(crate) async fn run(
        &self,
        test: &mut TestRun,
        plan: ExperimentPlan<'_>,
    ) -> Result<ExperimentResult, RunError> {
        let expr_id = test.add_experiment();
        self.announce(expr_id, &plan);
        let started = Mutex::new(Vec::new());
        let cancel = self.client.interrupts.current();
        let prepared = cancel.run_until_cancelled(Box::pin(self.prepare(&plan, &started)));
        let outcome = match prepared.await {
            Some(Ok(prepared)) => self.measure(test, &plan, prepared).await,
            Some(Err(error)) => Err(error.into()),
            None => Err(RunError::Interrupted),
        };
        let closed = self.close(started.into_inner()).await;
        let result = outcome?;
        closed?;
        Ok(result)
    }

    /// Sends an event.
    pub(crate) fn emit(&self, event: Event) {
        self.client.emit(event);
    }

    fn announce(&self, expr_id: usize, plan: &ExperimentPlan<'_>) {
        let engines: Vec<EngineSpec> = plan.arms.iter().map(Arm::spec).cloned().collect();
        engines.iter().for_each(EngineSpec::register_secrets);
        let warnings = shared_gpus(&engines);
        self.emit(Event::ExperimentPlanned {
            expr_id,
            title: plan.config.title(),
            // A config is numbers and texts: it can be written as JSON.
            workload: serde_json::to_value(plan.config).unwrap_or_default(),
            engines,
            requests: plan.config.count(),
        });
        for text in warnings {
            self.client.warn(text);
        }
    }

    /// Measures engines that are ready, and checks that they still are.
    async fn measure(
        &self,
        test: &mut TestRun,
        plan: &ExperimentPlan<'_>,
        prepared: Prepared,
    ) -> Result<ExperimentResult, RunError> {
        let engines = &prepared.engines[..];
        let servers = engines.iter().map(|engine| engine.server.clone()).collect();
        let memory = MemoryWatch::start(engines).await;
        let measurement = Measurement {
            expr_id: test.experiments() - 1,
            config: plan.config,
            lexicon: prepared.lexicon,
            servers,
            options: plan.options,
            memory: Some(&memory),
        };
        let sent = self.client.send(&measurement)?;
        let watch = self.watch(engines); // later than `send`, which forgets earlier aborts
        let mut result = self.client.collect(test, measurement, sent).await;
        let exited = watch.first_exit().await;
        if self.client.interrupts.current().is_cancelled() {
            result = self.partial(result)?;
        } else if let Some(error) = exited {
            return Err(error.into());
        }
        for engine in engines {
            engine.service.check_port().await?;
        }
        if !plan.options.may_fail {
            self.client.check_answers(test, &result);
            self.check_health(test, engines).await;
        }
        self.client.warn_if_overloaded(&result);
        Ok(result)
    }

    /// Returns the completed requests of an interrupted experiment at the prompt. A test ends
    /// when it is interrupted.
    fn partial(&self, result: ExperimentResult) -> Result<ExperimentResult, RunError> {
        let planned = result.requests();
        let result = result.without_interrupted();
        let completed = result.requests();
        if completed == 0 || !self.client.interrupts.only_work_is_cancelled() {
            return Err(RunError::Interrupted);
        }
        self.client.warn(format!(
            "partial result: {completed} of {planned} requests were completed before the interrupt"
        ));
        Ok(result)
    }

    /// Warns as soon as an engine or a helper exits, and aborts the requests to that engine. The
    /// engines that need a helper started by the script are not known, so requests go on.
    fn watch(&self, engines: &[Arc<Engine>]) -> ExitWatch {
        let exits = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for engine in engines {
            let engine = engine.clone();
            let exits = exits.clone();
            let events = self.client.events.clone();
            tasks.spawn(async move {
                let error = engine.exit_error().await;
                let text = error.headline();
                engine.server.abort_requests(&text);
                let text = format!("{text}: requests to `{}` are aborted", engine.spec.name);
                let _ = events.send(Event::Warned { text });
                exits.lock().push(error);
            });
        }
        for death in self.fleet.exit_errors_of_other_helpers(engines) {
            let exits = exits.clone();
            let events = self.client.events.clone();
            tasks.spawn(async move {
                let error = death.await;
                let text = error.headline();
                let _ = events.send(Event::Warned { text });
                exits.lock().push(error);
            });
        }
        ExitWatch { tasks, exits }
    }

    /// Adds a failed check to `test` for each engine that is not healthy after the workload.
    async fn check_health(&self, test: &mut TestRun, engines: &[Arc<Engine>]) {
        for engine in engines {
            if let Err(reason) = engine.health().await {
                let name = &engine.spec.name;
                let what = format!("`{name}` is healthy after the workload: {reason}");
                self.client.check(test, false, what);
            }
        }
    }

    async fn close(&self, engines: Vec<Arc<Engine>>) -> Result<(), EngineError> {
        let mut closing = JoinSet::new();
        for engine in engines {
            closing.spawn(async move { (engine.close().await, engine) });
        }
        let mut first = Ok(());
        while let Some(Ok((closed, engine))) = closing.join_next().await {
            first = first.and(closed);
            self.fleet.close(&engine).await?; // removes the closed engine from the fleet
        }
        first
    }
}

/// Returns a warning for each two engines that are measured at the same time on one GPU of this
/// machine. Simulated engines use no GPU.
fn shared_gpus(engines: &[EngineSpec]) -> Vec<String> {
    let real: Vec<&EngineSpec> = engines
        .iter()
        .filter(|spec| !spec.simulated && spec.url.is_none())
        .collect();
    let mut warnings = Vec::new();
    for (i, one) in real.iter().enumerate() {
        for other in &real[i + 1..] {
            let gpus = other.host_gpus();
            let Some(gpu) = one.host_gpus().into_iter().find(|gpu| gpus.contains(gpu)) else {
                continue;
            };
            warnings.push(format!(
                "`{}` and `{}` are measured at the same time on GPU {gpu} and slow each other; \
                 give one of them another `gpu`, or a separate experiment",
                one.name, other.name
            ));
        }
    }
    warnings
}

/// Tasks that wait for engines and helpers to exit. Dropping it stops them.
struct ExitWatch {
    tasks: JoinSet<()>,
    exits: Arc<Mutex<Vec<EngineError>>>,
}

impl ExitWatch {
    /// Stops the tasks and returns the first exit, if there was one.
    async fn first_exit(mut self) -> Option<EngineError> {
        self.tasks.shutdown().await;
        self.exits.lock().drain(..).next()
    }
}
