//! One engine of an experiment, its requests, and how they look on the wire.

use super::Engine;
use super::row::{Row, RowContext};
use super::workload::{Due, Endpoint, Flow, Lexicon, Request, RequestOptions, Said, WorkloadConfig};
use crate::driver::clock::Stamp;
use crate::driver::http::{Arrival, Exchange, Job, Limits, Plan, Target};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::OnceLock;
use tokio::sync::mpsc::UnboundedSender;

/// An engine and what it is asked.
pub struct Lane {
    /// The engine.
    pub engine: Arc<Engine>,
    /// What it is asked, in order.
    pub requests: Arc<Vec<Request>>,
    /// What its rows have in common.
    pub context: RowContext,
    lexicon: Arc<Lexicon>,
    concurrency: Option<usize>,
    options: RequestOptions,
    id_prefix: String,
    /// Tokens of the conversation at the end of each request.
    said: Vec<u64>,
}

/// A request that has ended.
pub struct Ended {
    /// The lane.
    pub engine_id: usize,
    /// Which request it was, when it was due, and whether it was sent.
    pub job: Job,
    /// What was seen of it.
    pub exchange: Exchange,
}

impl Lane {
    /// The engine's own workload, from the config that all engines share.
    pub fn new(
        expr_id: usize,
        engine_id: usize,
        id_prefix: String,
        engine: &Arc<Engine>,
        config: &WorkloadConfig,
        lexicon: &Arc<Lexicon>,
    ) -> Self {
        let spec = &engine.spec;
        let requests = Arc::new(config.generate(lexicon));
        let context = RowContext {
            expr_id,
            engine_id,
            engine: spec.name.as_str().into(),
            engine_kind: spec.kind.as_str().into(),
            simulated: spec.simulated,
            model: spec.model.as_str().into(),
            context_len_from: lexicon.counted_by.name(),
            start: Stamp::now(),
        };
        Self {
            engine: engine.clone(),
            said: vec![0; requests.len()],
            requests,
            context,
            lexicon: lexicon.clone(),
            concurrency: config.arrivals.concurrency,
            options: config.request.clone(),
            id_prefix,
        }
    }

    /// When the last request is due, seconds from the start, if that is known before it.
    pub fn planned_s(&self) -> Option<f64> {
        let free = self.requests.iter().all(|request| request.after.is_none() && request.round == 0);
        let mut moments = self.requests.iter().map(|request| request.timestamp.filter(|_| free));
        moments.try_fold(0.0, |last, moment| Some(f64::max(last, moment?)))
    }

    /// How its requests are sent, and those that can be sent first. Whatever ends goes to `ended`.
    pub fn plan(&self, ended: UnboundedSender<Ended>) -> (Arc<dyn Plan>, Vec<Job>) {
        let (flow, due) = Flow::start(self.requests.clone(), self.concurrency);
        let keeps_text = self.requests.iter().any(|request| request.continued().is_some());
        let answers = if keeps_text { self.requests.len() } else { 0 };
        let plan = LanePlan {
            engine_id: self.context.engine_id,
            target: Target { keep_text: keeps_text, ..target(&self.engine, &self.options) },
            start: self.context.start,
            requests: self.requests.clone(),
            model: self.engine.spec.model.clone(),
            engine_body: self.engine.spec.extra_body.clone(),
            options: self.options.clone(),
            lexicon: self.lexicon.clone(),
            id_prefix: self.id_prefix.clone(),
            answers: std::iter::repeat_with(OnceLock::new).take(answers).collect(),
            flow: flow.is_linked().then(|| Mutex::new(flow)),
            ended,
        };
        let jobs = due.into_iter().map(|due| plan.job(due)).collect();
        (Arc::new(plan), jobs)
    }

    /// The row of a request that has ended.
    pub fn row(&mut self, job: &Job, gpu_memory: Arc<str>, exchange: Exchange) -> Row {
        let (i, request) = (job.index, &self.requests[job.index]);
        let before = request.continued().map_or(0, |before| self.said[before]);
        let id = request_id(&self.id_prefix, i);
        let mut row = Row::new(&self.context, i, request, job.due, id, gpu_memory, exchange);
        row.context_len += before;
        self.said[i] = row.context_len + row.query_len + row.output_tokens.unwrap_or_default();
        row
    }
}

/// The sending of one lane's requests.
struct LanePlan {
    engine_id: usize,
    target: Target,
    start: Stamp,
    requests: Arc<Vec<Request>>,
    model: String,
    engine_body: Map<String, Value>,
    options: RequestOptions,
    lexicon: Arc<Lexicon>,
    id_prefix: String,
    /// The answers, where there are conversations.
    answers: Vec<OnceLock<String>>,
    /// Where the end of a request sets others free; without it, requests share no lock.
    flow: Option<Mutex<Flow>>,
    ended: UnboundedSender<Ended>,
}

impl LanePlan {
    fn job(&self, due: Due) -> Job {
        let unsent =
            due.without.map(|request| format!("request {request}, which it answers to, has no answer"));
        Job { index: due.request, due: self.start.plus_s(due.at_s), unsent }
    }

    /// Everything that was said up to the messages of `index`.
    fn conversation(&self, index: usize) -> Vec<Said> {
        let request = &self.requests[index];
        let mut said = request.continued().map_or_else(Vec::new, |before| {
            let mut said = self.conversation(before);
            // A request that continues is sent only when that one was answered.
            let answer = self.answers[before].get().cloned().unwrap_or_default();
            said.push(("assistant".into(), answer));
            said
        });
        said.extend(
            request.messages.iter().map(|message| (message.role.clone(), message.text(&self.lexicon))),
        );
        said
    }
}

impl Plan for LanePlan {
    fn target(&self) -> &Target {
        &self.target
    }

    fn request_id(&self, index: usize) -> String {
        request_id(&self.id_prefix, index)
    }

    fn body(&self, index: usize) -> Bytes {
        let said = self.conversation(index);
        self.options.body(&self.model, &self.requests[index], &said, &self.engine_body)
    }

    fn ended(&self, job: Job, mut exchange: Exchange) -> Vec<Job> {
        let index = job.index;
        let answered = exchange.failure.is_none();
        if let Some(answer) = self.answers.get(index) {
            let _ = answer.set(std::mem::take(&mut exchange.text)); // each request ends once
        }
        let now_s = exchange.done.map_or_else(Stamp::now, Arrival::at).since_s(self.start);
        // Nobody listens to a run that was given up.
        let _ = self.ended.send(Ended { engine_id: self.engine_id, job, exchange });
        let Some(flow) = &self.flow else { return Vec::new() };
        let due = flow.lock().ended(index, now_s, answered);
        due.into_iter().map(|due| self.job(due)).collect()
    }
}

fn request_id(prefix: &str, index: usize) -> String {
    format!("{prefix}-{index}")
}

/// Where the requests to an engine go.
pub fn target(engine: &Engine, options: &RequestOptions) -> Target {
    let path = match options.endpoint {
        Endpoint::Chat => &engine.spec.chat_path,
        Endpoint::Completions => &engine.spec.completions_path,
    };
    let address = engine.address();
    Target {
        scheme: address.scheme,
        authority: address.authority(),
        path: format!("{}{path}", address.prefix),
        end: engine.spec.stream_end,
        // A key of the workload's own goes before the engine's.
        headers: engine.headers().into_iter().chain(options.all_headers()).collect(),
        limits: Limits::default(),
        keep_text: false,
        keeps_alive: engine.keeps_alive(),
        abort: engine.abort(),
    }
}
