//! Getting the engines of an experiment ready.

use super::engine::all_ready;
use super::experiment::{Arm, Bench, RunOptions};
use super::workload::{CountedBy, Lexicon, Request, RequestOptions, Said, TextOptions, WorkloadConfig};
use super::{Engine, EngineError, Event};
use crate::driver::clock::Stamp;
use crate::driver::http::{Exchange, Job, Plan, Shards, Target};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

impl Bench {
    /// Starts the engines that are to be started, waits for all, and warms them up. Those that
    /// it started stand in `own`, also when it fails half-way.
    pub(super) async fn prepare(
        &self,
        config: &WorkloadConfig,
        arms: Vec<Arm>,
        options: RunOptions,
        own: &Mutex<Vec<Arc<Engine>>>,
    ) -> Result<Vec<Arc<Engine>>, EngineError> {
        let engines = self.start_all(arms, own).await?;
        for engine in &engines {
            self.warm_up(engine, &config.request, options).await;
        }
        Ok(engines)
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
        let options = RequestOptions { max_tokens: 2, min_tokens: None, ..options.clone() };
        for number in 0..run.warmup {
            let (sender, mut ended) = unbounded_channel();
            let warmup = Warmup {
                target: engine.server(run.limits).target(&options),
                request_id: format!("{}-warmup-{number}", self.run_id),
                said: ("user".into(), "Warm up, please. ".repeat(40 + number)),
                engine: engine.clone(),
                options: options.clone(),
                ended: sender,
            };
            let plan: Arc<dyn Plan> = Arc::new(warmup);
            let due = Stamp::now().plus_s(Shards::LEAD_S);
            self.shards.send(&plan, vec![Job { index: number, due, intended: None, unsent: None }]);
            if let Some(Exchange { failure: Some(failure), .. }) = ended.recv().await {
                let text = format!("a warm-up request to `{}` failed: {failure}", engine.spec.name);
                self.emit(Event::Warned { text });
            }
        }
    }

    /// The words of a workload's texts: by the first engine that counts tokens, where the config
    /// asks for that.
    pub(super) async fn lexicon(&self, config: &WorkloadConfig, engines: &[Arc<Engine>]) -> Arc<Lexicon> {
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
            .lexicons
            .lock()
            .iter()
            .find(|(spec, _)| *spec == engine.spec)
            .map(|(_, known)| known.clone());
        if known.is_some() {
            return known;
        }
        let count = async |text: &str| engine.count_tokens(text).await;
        let fitted = Lexicon::fit(CountedBy::Engine, count).await?;
        let fitted = Arc::new(fitted.of_model(&engine.spec.model));
        self.lexicons.lock().push((engine.spec.clone(), fitted.clone()));
        Some(fitted)
    }
}

/// One warm-up request.
struct Warmup {
    target: Target,
    request_id: String,
    said: Said,
    engine: Arc<Engine>,
    options: RequestOptions,
    ended: UnboundedSender<Exchange>,
}

impl Plan for Warmup {
    fn target(&self) -> &Target {
        &self.target
    }

    fn request_id(&self, _: usize) -> String {
        self.request_id.clone()
    }

    fn body(&self, _: usize) -> Bytes {
        let spec = &self.engine.spec;
        let said = std::slice::from_ref(&self.said);
        self.options.body(&spec.model, &Request::default(), said, &spec.extra_body)
    }

    fn ended(&self, _: Job, exchange: Exchange) -> Vec<Job> {
        let _ = self.ended.send(exchange); // nobody waits for a warm-up that was interrupted
        Vec::new()
    }
}
