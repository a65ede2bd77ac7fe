//! An experiment: one workload config, N engines, all at the same time.

use crate::core::result::client_health::Effort;
use crate::core::result::same_work;
use crate::core::run::limits::too_many_at_once;
use crate::core::run::memory::MemoryWatch;
use crate::core::run::send::{self, Completed, Completions, EngineRun, RunIds, SharedLoad};
use crate::core::selfcheck::Calibration;
use crate::core::workload::{Lexicon, WorkloadConfig};
use crate::core::{
    Engine, EngineError, EngineResult, EngineSpec, Event, ExperimentResult, Fleet, Interrupts,
    Live, Reason, ReasonCode, RequestLimits, Row, Seconds, TestRun,
};
use crate::driver::clock::Stamp;
use crate::driver::http::Shards;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use thiserror::Error;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

/// Everything that a run has.
pub struct Runner {
    /// The engines.
    pub fleet: Fleet,
    /// The threads that send.
    pub shards: Shards,
    /// Ends every wait of the work at hand.
    pub interrupts: Interrupts,
    /// Starts every `x-request-id` of this run.
    pub run_id: String,
    /// The number of experiments of all tests so far.
    pub serial: AtomicUsize,
    /// What the client is known to hold on this machine, if that was checked.
    pub known: Option<Calibration>,
    /// How late requests may be sent, where a test does not say it.
    pub max_send_lag_s: f64,
    /// The words that engines were found to count as one token each.
    pub lexicons: Mutex<Vec<(EngineSpec, Arc<Lexicon>)>>,
    /// The engines that were asked whether they take the field `ignore_eos`, each with the answer.
    pub take_ignore_eos: Mutex<Vec<(EngineSpec, bool)>>,
}

/// An engine of an experiment.
#[derive(Clone)]
pub enum Arm {
    /// Started for the experiment, and closed after it.
    Spec(Box<EngineSpec>),
    /// Running already, and left running.
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

/// How an experiment is run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunOptions {
    /// Number of requests to each engine before the workload, which are not measured.
    pub warmup: usize,
    /// Accept failed requests: they do not fail the test.
    pub may_fail: bool,
    /// Timeouts of each request, in seconds.
    pub limits: RequestLimits,
    /// Maximum delay of sending a request, in seconds. By default, `--max-send-lag-s`.
    pub max_send_lag_s: Option<Seconds>,
    /// Maximum share by which the output tokens of the engines may differ.
    #[serde(deserialize_with = "share")]
    pub max_output_difference: f64,
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

/// Why an experiment has no result.
#[derive(Debug, Error)]
pub enum RunError {
    /// An engine does not serve.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The system does not let so many requests be under way at once.
    #[error("{0}")]
    TooMany(String),
    /// The run was interrupted.
    #[error("interrupted")]
    Interrupted,
}

impl Runner {
    /// Sends the workload of `plan` to all its engines at the same time, as an experiment of `test`.
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
        let own = Mutex::new(Vec::new());
        let outcome = self.conduct(test, expr_id, plan, &own).await;
        let closed = self.close(own.into_inner()).await;
        let seen = outcome?;
        closed?;
        Ok(seen)
    }

    /// Adds a check to `test` and reports it.
    pub(crate) fn check(&self, test: &mut TestRun, passed: bool, what: String) {
        test.add_check(passed);
        self.emit(Event::Checked { passed, what });
    }

    /// Sends an event.
    pub fn emit(&self, event: Event) {
        // Without a listener there is nobody to tell.
        let _ = self.fleet.site.events.send(event);
    }

    fn announce(&self, expr_id: usize, plan: &ExperimentPlan<'_>) {
        let engines: Vec<EngineSpec> = plan.arms.iter().map(Arm::spec).cloned().collect();
        engines.iter().for_each(EngineSpec::learn_secrets);
        let shared = shared_gpus(&engines);
        self.emit(Event::ExperimentPlanned {
            expr_id,
            title: plan.config.title(),
            // A config is numbers and texts: it can be written as JSON.
            workload: serde_json::to_value(plan.config).unwrap_or_default(),
            engines,
            requests: plan.config.count(),
        });
        for text in shared {
            self.emit(Event::Warned { text });
        }
    }

    async fn conduct(
        &self,
        test: &mut TestRun,
        expr_id: usize,
        plan: ExperimentPlan<'_>,
        own: &Mutex<Vec<Arc<Engine>>>,
    ) -> Result<ExperimentResult, RunError> {
        let ExperimentPlan {
            config,
            arms,
            options,
        } = plan;
        let cancel = self.interrupts.now();
        let prepared = async {
            let engines = self.prepare(config, arms, options, own).await?;
            let lexicon = self.lexicon(config, &engines).await;
            Ok::<_, EngineError>((engines, lexicon))
        };
        let (engines, lexicon) = tokio::select! {
            prepared = prepared => prepared?,
            () = cancel.cancelled() => return Err(RunError::Interrupted),
        };
        let requests = Arc::new(config.generate(&lexicon));
        let serial = self.serial.fetch_add(1, Relaxed);
        let load = SharedLoad {
            config,
            requests,
            lexicon,
            limits: options.limits,
        };
        let mut lanes = Vec::new();
        for (engine_id, engine) in engines.iter().enumerate() {
            let ids = RunIds {
                expr_id,
                engine_id,
                id_prefix: format!("{}-{serial}-{engine_id}", self.run_id),
            };
            lanes.push(EngineRun::new(ids, engine.server.clone(), &load));
        }
        if let Some(problem) = too_many_at_once(&lanes) {
            return Err(RunError::TooMany(problem));
        }
        let seen = self
            .measure(test, expr_id, config.title(), options, &engines, lanes)
            .await?;
        for engine in &engines {
            engine.check_port().await?;
        }
        if !options.may_fail {
            self.check_answers(test, &seen);
            self.check_health(test, &engines).await;
        }
        if let Some(text) = self
            .known
            .as_ref()
            .and_then(|known| known.warning(&seen.client))
        {
            self.emit(Event::Warned { text });
        }
        Ok(seen)
    }

    /// Sends every lane's requests at their moments and collects the rows.
    async fn measure(
        &self,
        test: &mut TestRun,
        expr_id: usize,
        title: String,
        options: RunOptions,
        engines: &[Arc<Engine>],
        mut lanes: Vec<EngineRun>,
    ) -> Result<ExperimentResult, RunError> {
        let memory = MemoryWatch::start(engines).await;
        let effort = Effort::since_now(&self.shards);
        let ended = send::send(&mut lanes, &self.shards);
        self.emit(Event::ExperimentStarted(Arc::new(live(
            &title, engines, &lanes, &memory,
        ))));
        let died = self.watch_over(engines);
        let rows = self.collect(engines, &mut lanes, ended, &memory).await;
        let spent = effort.spent();
        let dead = died.first().await;
        let seen_of = |(lane, rows): (&EngineRun, Vec<Row>)| {
            EngineResult::new(lane.context.engine.clone(), lane.context.simulated, rows)
        };
        let mut warnings: Vec<String> = lanes
            .iter()
            .zip(&rows)
            .filter_map(|(lane, rows)| lane.impossible_count(rows))
            .collect();
        let engines = lanes.iter().zip(rows).map(seen_of).collect();
        let max_send_lag_s = options
            .max_send_lag_s
            .map_or(self.max_send_lag_s, |seconds| seconds.0);
        let mut seen = ExperimentResult::new(expr_id, title, engines, &spent, max_send_lag_s);
        match same_work::difference(&seen.engines) {
            Some(found) if found.share > options.max_output_difference => {
                seen.add_reason(Reason::new(ReasonCode::UnequalWork, found.text));
            }
            Some(found) => warnings.push(found.text),
            None => {}
        }
        self.emit(Event::ExperimentDone(Box::new(seen.clone())));
        for text in warnings {
            self.emit(Event::Warned { text });
        }
        self.report_invalid(&seen);
        test.add_result(&seen);
        if self.interrupts.now().is_cancelled() {
            return self.partial(seen);
        }
        dead.map_or(Ok(seen), |error| Err(error.into()))
    }

    fn report_invalid(&self, seen: &ExperimentResult) {
        for reason in seen.validity.texts() {
            self.emit(Event::Warned {
                text: format!("invalid: {reason}"),
            });
        }
    }

    /// Keeps the complete requests of an interrupted experiment for the prompt. A test that is interrupted ends.
    fn partial(&self, seen: ExperimentResult) -> Result<ExperimentResult, RunError> {
        let planned = seen.requests();
        let seen = seen.without_interrupted();
        let complete = seen.requests();
        if complete == 0 || !self.interrupts.only_work_ends() {
            return Err(RunError::Interrupted);
        }
        let text = format!(
            "partial result: {complete} of {planned} requests had ended before the interrupt"
        );
        self.emit(Event::Warned { text });
        Ok(seen)
    }

    /// Makes a row of every request as it ends. An interrupt gives up what is under way.
    async fn collect(
        &self,
        engines: &[Arc<Engine>],
        lanes: &mut [EngineRun],
        requests: UnboundedReceiver<Completed>,
        memory: &MemoryWatch,
    ) -> Vec<Vec<Row>> {
        let mut rows: Vec<Vec<Row>> = lanes.iter().map(|_| Vec::new()).collect();
        let give_up = |reason: &str| {
            for engine in engines {
                engine.server.abort_requests(reason);
            }
        };
        let cancel = self.interrupts.now();
        let mut ends = Completions::of(requests, &cancel, give_up);
        while let Some(Completed {
            engine_id,
            job,
            exchange,
        }) = ends.next().await
        {
            let row = lanes[engine_id].row(&job, &memory.latest_json(engine_id), &exchange);
            self.emit(Event::RequestDone(Box::new(row.clone())));
            rows[engine_id].push(row);
        }
        rows
    }

    /// Gives up the requests of an engine as soon as its process, or one that it needs, ends; and says so,
    /// as of any other helper that was kept: whose requests want it, nobody knows.
    fn watch_over(&self, engines: &[Arc<Engine>]) -> Watch {
        let (mut tasks, found) = (JoinSet::new(), Arc::new(Mutex::new(Vec::new())));
        let events = &self.fleet.site.events;
        for engine in engines {
            let (engine, found, events) = (engine.clone(), found.clone(), events.clone());
            tasks.spawn(async move {
                let error = engine.died().await;
                let text = error.headline();
                engine.server.abort_requests(&text);
                let text = format!("{text}: requests to `{}` are given up", engine.spec.name);
                let _ = events.send(Event::Warned { text });
                found.lock().push(error);
            });
        }
        for death in self.fleet.kept_beside(engines) {
            let (found, events) = (found.clone(), events.clone());
            tasks.spawn(async move {
                let error = death.await;
                let _ = events.send(Event::Warned {
                    text: error.headline(),
                });
                found.lock().push(error);
            });
        }
        Watch { tasks, found }
    }

    fn check_answers(&self, test: &mut TestRun, seen: &ExperimentResult) {
        for engine in seen.engines.iter().filter(|engine| engine.failed() > 0) {
            let failures = engine.failures();
            let worst = failures
                .iter()
                .max_by_key(|(_, times)| **times)
                .map_or("", |(error, _)| *error);
            let (failed, all) = (engine.failed(), engine.rows.len());
            self.check(
                test,
                false,
                format!(
                    "`{}` answers every request: {failed} of {all} failed: {worst}",
                    engine.name
                ),
            );
        }
    }

    /// An engine that answers and says that it is ill has measured something else than was meant.
    async fn check_health(&self, test: &mut TestRun, engines: &[Arc<Engine>]) {
        for engine in engines {
            if let Err(reason) = engine.health().await {
                self.check(
                    test,
                    false,
                    format!(
                        "`{}` is healthy after the workload: {reason}",
                        engine.spec.name
                    ),
                );
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
            self.fleet.close(&engine).await?; // ended already: this takes it off the list
        }
        first
    }
}

/// A warning for each two engines that are measured at the same time on one GPU. Those of simulated
/// engines are not real, and those of engines elsewhere not of this machine.
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
                "`{}` and `{}` are measured at the same time on GPU {gpu}: each slows the other; give one of them \
                 another `gpu`, or an experiment of its own",
                one.name, other.name
            ));
        }
    }
    warnings
}

/// What can be seen of the experiment while it runs. Every engine has the same workload.
fn live(title: &str, engines: &[Arc<Engine>], lanes: &[EngineRun], memory: &MemoryWatch) -> Live {
    let lane = |(lane, engine): (&EngineRun, &Arc<Engine>)| lane.live(engine.spec.host_gpus());
    Live {
        title: title.into(),
        start: lanes
            .first()
            .map_or_else(Stamp::now, |lane| lane.context.start),
        planned_s: lanes.first().and_then(EngineRun::planned_s),
        lanes: lanes.iter().zip(engines).map(lane).collect(),
        memory: memory.latest.clone(),
    }
}

/// Watches engines until it is dropped.
struct Watch {
    tasks: JoinSet<()>,
    found: Arc<Mutex<Vec<EngineError>>>,
}

impl Watch {
    /// The first engine that died. No watcher may see a death after this: it would be told to nobody.
    async fn first(mut self) -> Option<EngineError> {
        self.tasks.shutdown().await;
        self.found.lock().drain(..).next()
    }
}
