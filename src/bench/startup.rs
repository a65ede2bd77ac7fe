//! Getting the engines of an experiment ready.

use super::experiment::{Arm, Bench, RunOptions};
use super::lane::target;
use super::workload::{Part, Prompt, RequestOptions};
use super::{Engine, EngineError, EngineSpec, Event, Readiness};
use crate::driver::clock::Stamp;
use crate::driver::http::{BuildBody, Exchange, Job, Shards};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

impl Bench {
    /// Starts the engines that are to be started, waits for all, and warms them up. Those that
    /// it started stand in `own`, also when it fails half-way.
    pub(super) async fn prepare(
        &self,
        arms: Vec<Arm>,
        options: RunOptions,
        own: &Mutex<Vec<Arc<Engine>>>,
    ) -> Result<Vec<Arc<Engine>>, EngineError> {
        let engines = self.start_all(arms, own).await?;
        for engine in &engines {
            self.warm_up(engine, options.warmup).await;
        }
        Ok(engines)
    }

    /// Starts what is to be started. Engines that share a GPU start one after the other: each
    /// measures the free memory while it starts, and two at once see each other's weights.
    async fn start_all(
        &self,
        arms: Vec<Arm>,
        own: &Mutex<Vec<Arc<Engine>>>,
    ) -> Result<Vec<Arc<Engine>>, EngineError> {
        let mut engines = Vec::new();
        let mut starting: Vec<Arc<Engine>> = Vec::new();
        for arm in arms {
            let engine = match arm {
                Arm::Handle(engine) => engine,
                Arm::Spec(spec) => {
                    let (sharing, apart) =
                        starting.into_iter().partition(|other| shares_gpu(&other.spec, &spec));
                    all_ready(sharing).await?;
                    starting = apart;
                    let engine = self.fleet.start(*spec).await?;
                    own.lock().push(engine.clone());
                    engine
                }
            };
            starting.push(engine.clone());
            engines.push(engine);
        }
        all_ready(starting).await?;
        Ok(engines)
    }

    /// Sends requests that pay for what only a fresh engine does. Their text shares no prefix
    /// with any workload's.
    async fn warm_up(&self, engine: &Arc<Engine>, requests: usize) {
        let options = RequestOptions { max_tokens: 2, ..RequestOptions::default() };
        let (model, extra) = (engine.spec.model.clone(), engine.spec.extra_body.clone());
        let body: BuildBody = Arc::new(move |i| {
            let prompt = Prompt(vec![Part::Repeated { unit: "Warm up, please. ", times: 40 + i }]);
            options.chat(&model, &prompt, &extra)
        });
        let target = target(engine);
        for index in 0..requests {
            let request_id = format!("{}-warmup-{index}", self.run_id);
            let due = Stamp::now().plus_s(Shards::LEAD_S);
            let job = Job { index, due, request_id, target: target.clone(), body: body.clone() };
            if let Some((_, Exchange { failure: Some(failure), .. })) =
                self.shards.send(vec![job]).recv().await
            {
                let text = format!("a warm-up request to `{}` failed: {failure}", engine.spec.name);
                self.emit(Event::Warned { text });
            }
        }
    }
}

fn shares_gpu(a: &EngineSpec, b: &EngineSpec) -> bool {
    a.gpus.iter().any(|gpu| b.gpus.contains(gpu))
}

/// Waits for all of them at the same time; the first that does not get ready ends the wait.
async fn all_ready(engines: Vec<Arc<Engine>>) -> Result<(), EngineError> {
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
