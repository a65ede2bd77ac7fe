//! One engine of an experiment, its requests, and how they look on the wire.

use super::Engine;
use super::row::{Row, RowContext};
use super::workload::{Request, WorkloadConfig};
use crate::driver::clock::Stamp;
use crate::driver::http::{BuildBody, Exchange, Job, Limits, Target};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An engine and what it is asked.
pub struct Lane {
    /// The engine.
    pub engine: Arc<Engine>,
    /// What it is asked, in order.
    pub requests: Arc<Vec<Request>>,
    /// What its rows have in common.
    pub context: RowContext,
    target: Arc<Target>,
    body: BuildBody,
    id_prefix: String,
}

impl Lane {
    /// The engine's own workload, from the config that all engines share.
    pub fn new(
        expr_id: usize,
        engine_id: usize,
        id_prefix: String,
        engine: &Arc<Engine>,
        config: &WorkloadConfig,
    ) -> Self {
        let spec = &engine.spec;
        let requests = Arc::new(config.generate());
        let (options, model, extra) = (config.request.clone(), spec.model.clone(), spec.extra_body.clone());
        let asked = requests.clone();
        let body: BuildBody = Arc::new(move |i| options.chat(&model, &asked[i % asked.len()].prompt, &extra));
        let context = RowContext {
            expr_id,
            engine_id,
            engine: spec.name.as_str().into(),
            engine_kind: spec.kind.as_str().into(),
            simulated: spec.simulated,
            model: spec.model.as_str().into(),
            start: Stamp::now(),
        };
        Self { engine: engine.clone(), requests, context, target: target(engine), body, id_prefix }
    }

    /// Its requests, to be sent at their moments. Every lane of an experiment has as many: job
    /// `j` is request `j % requests` of lane `j / requests`.
    pub fn jobs(&self) -> Vec<Job> {
        let first = self.context.engine_id * self.requests.len();
        let job = |(i, request): (usize, &Request)| Job {
            index: first + i,
            due: self.context.start.plus_s(request.timestamp),
            request_id: self.request_id(i),
            target: self.target.clone(),
            body: self.body.clone(),
        };
        self.requests.iter().enumerate().map(job).collect()
    }

    /// The row of a job that has ended.
    pub fn row(&self, index: usize, gpu_memory: Arc<str>, exchange: Exchange) -> Row {
        let i = index % self.requests.len();
        Row::new(&self.context, i, &self.requests[i], self.request_id(i), gpu_memory, exchange)
    }

    fn request_id(&self, i: usize) -> String {
        format!("{}-{i}", self.id_prefix)
    }
}

/// Where the requests to an engine go.
pub fn target(engine: &Engine) -> Arc<Target> {
    Arc::new(Target {
        authority: engine.authority(),
        path: engine.spec.chat_path.clone(),
        headers: BTreeMap::new(),
        limits: Limits::default(),
        keep_text: false,
        abort: engine.abort(),
    })
}
