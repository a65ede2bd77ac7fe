//! Getting the engines of an experiment ready.

use crate::core::engine::started::all_ready;
use crate::core::run::experiment::{Arm, ExperimentPlan, RunOptions, Runner};
use crate::core::run::single::SingleRequest;
use crate::core::workload::{CountedBy, Lexicon, RequestOptions, TextOptions, WorkloadConfig};
use crate::core::{Engine, EngineError, EngineSpec};
use parking_lot::Mutex;
use std::sync::Arc;

/// Engines that are ready to be measured.
pub(crate) struct Prepared {
    /// The engines, in the order of the experiment.
    pub(crate) engines: Vec<Arc<Engine>>,
    /// The words of the workload's texts.
    pub(crate) lexicon: Arc<Lexicon>,
}

impl Runner {
    /// Starts the engines of `plan`, waits until all are ready, and warms them up. Adds the engines
    /// that it started to `started`, also when it fails.
    pub(crate) async fn prepare(
        &self,
        plan: &ExperimentPlan<'_>,
        started: &Mutex<Vec<Arc<Engine>>>,
    ) -> Result<Prepared, EngineError> {
        let engines = self.start_all(plan.arms.clone(), started).await?;
        let request = &plan.config.request;
        for engine in &engines {
            if plan.config.fixes_lengths() {
                self.try_ignore_eos(engine, request, plan.options).await;
            }
            self.warm_up(engine, request, plan.options).await;
        }
        let lexicon = self.lexicon(plan.config, &engines).await;
        Ok(Prepared { engines, lexicon })
    }

    /// Starts what is to be started, and waits until all are ready.
    async fn start_all(
        &self,
        arms: Vec<Arm>,
        own: &Mutex<Vec<Arc<Engine>>>,
    ) -> Result<Vec<Arc<Engine>>, EngineError> {
        let mut engines = Vec::new();
        for arm in arms {
            let engine = match arm {
                Arm::Handle(engine) => engine,
                Arm::Spec(spec) => {
                    let engine = self.fleet.start(*spec).await?;
                    own.lock().push(engine.clone());
                    engine
                }
            };
            engines.push(engine);
        }
        all_ready(engines.clone()).await?;
        Ok(engines)
    }

    /// Sends requests that pay for what only a fresh engine does. Their text shares no prefix
    /// with any workload's.
    async fn warm_up(&self, engine: &Arc<Engine>, options: &RequestOptions, run: RunOptions) {
        let options = RequestOptions {
            max_tokens: 2,
            min_tokens: None,
            ..options.clone()
        };
        for number in 0..run.warmup {
            let warmup = SingleRequest {
                server: engine.server.clone(),
                limits: run.limits,
                request_id: format!("{}-warmup-{number}", self.client.run_id),
                prompt: "Warm up, please. ".repeat(40 + number),
                options: options.clone(),
            };
            if let Some(failure) = warmup.send(&self.client.shards).await {
                let text = format!(
                    "a warm-up request to `{}` failed: {failure}",
                    engine.spec.name
                );
                self.client.warn(text);
            }
        }
    }

    /// Finds out whether an engine takes `ignore_eos`, if that is not known, and warns if it does not.
    async fn try_ignore_eos(&self, engine: &Engine, options: &RequestOptions, run: RunOptions) {
        if engine.server.accepts_ignore_eos().is_some() {
            return;
        }
        let known = self
            .answers
            .accepts_ignore_eos
            .lock()
            .iter()
            .find(|(spec, _)| *spec == *engine.spec)
            .map(|(_, takes)| *takes);
        if let Some(takes) = known {
            return engine.server.set_accepts_ignore_eos(takes);
        }
        let question = SingleRequest {
            server: engine.server.clone(),
            limits: run.limits,
            request_id: format!("{}-ignore-eos", self.client.run_id),
            prompt: "Hello".into(),
            options: options.clone(),
        };
        let refusal = question.ignore_eos_refusal(&self.client.shards).await;
        engine.server.set_accepts_ignore_eos(refusal.is_none());
        self.answers
            .accepts_ignore_eos
            .lock()
            .push((EngineSpec::clone(&engine.spec), refusal.is_none()));
        if let Some(words) = refusal {
            let name = &engine.spec.name;
            let text = format!(
                "`{name}` refuses `ignore_eos`, so that its answers may be shorter than asked for; \
                 `ignore_eos: false` for `{name}` skips the question ({words})"
            );
            self.client.warn(text);
        }
    }

    /// The words of a workload's texts: by the first engine that counts tokens, where the config
    /// asks for that.
    async fn lexicon(&self, config: &WorkloadConfig, engines: &[Arc<Engine>]) -> Arc<Lexicon> {
        if config.text.tokenizer.as_deref() != Some(TextOptions::ENGINE) {
            return config.lexicon.clone();
        }
        for engine in engines {
            if let Some(fitted) = self.fitted(engine).await {
                return fitted;
            }
        }
        config.lexicon.clone()
    }

    /// The words that an engine counts as one token each. An engine is asked once: one that is started
    /// as another was counts as that did.
    async fn fitted(&self, engine: &Engine) -> Option<Arc<Lexicon>> {
        let known = self
            .answers
            .lexicons
            .lock()
            .iter()
            .find(|(spec, _)| *spec == *engine.spec)
            .map(|(_, known)| known.clone());
        if known.is_some() {
            return known;
        }
        let count = async |text: &str| engine.count_tokens(text).await;
        let fitted = Lexicon::fit(CountedBy::Engine, count).await?;
        let fitted = Arc::new(fitted.with_model(&engine.spec.model));
        self.answers
            .lexicons
            .lock()
            .push((EngineSpec::clone(&engine.spec), fitted.clone()));
        Some(fitted)
    }
}
