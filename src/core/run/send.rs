//! One engine of an experiment, its requests, and how they look on the wire.

use crate::core::Row;
use crate::core::Server;
use crate::core::result::from_exchange::{EndedRequest, RowContext};
use crate::core::result::same_work;
use crate::core::run::memory::MemoryWatch;
use crate::core::run::progress::{EngineProgress, RequestCounters};
use crate::core::workload::{
    Answers, DependencyTracker, Lexicon, Ready, Request, RequestOptions, Said, WorkloadConfig,
};
use crate::driver::clock::Stamp;
use crate::driver::http::{
    Exchange, Failure, RequestLimits, RequestSource, SendJob, Shards, Target, TextPolicy,
};
use crate::driver::secrets;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The workload that all engines of an experiment share.
pub(crate) struct SharedWorkload<'a> {
    /// The number of the experiment in its test.
    pub(crate) expr_id: usize,
    /// The workload.
    pub(crate) config: &'a WorkloadConfig,
    /// The words of the texts.
    pub(crate) lexicon: Arc<Lexicon>,
    /// The time limits of each request.
    pub(crate) limits: RequestLimits,
    /// The requests, which were made with the lexicon.
    pub(crate) requests: Arc<Vec<Request>>,
    /// The start of the id of each request.
    pub(crate) id_prefix: String,
}

/// The requests of an experiment to one engine.
pub(crate) struct EngineRun {
    /// The server that the requests are sent to.
    pub(crate) server: Arc<Server>,
    limits: RequestLimits,
    /// The requests, in order.
    pub requests: Arc<Vec<Request>>,
    /// The values that all its rows share.
    pub context: RowContext,
    counters: Arc<RequestCounters>,
    lexicon: Arc<Lexicon>,
    concurrency: Option<usize>,
    options: RequestOptions,
    id_prefix: String,
    /// Tokens of the conversation at the end of each request.
    said: Vec<u64>,
}

/// A request that has ended.
pub struct Completed {
    /// The lane.
    pub engine_id: usize,
    /// The request: its index, the time at which it was due, and whether it was sent.
    pub job: SendJob,
    /// The response of the server, with its timestamps.
    pub exchange: Exchange,
}

impl EngineRun {
    /// Creates the run of one engine.
    pub(crate) fn new(
        workload: &SharedWorkload<'_>,
        engine_id: usize,
        server: Arc<Server>,
    ) -> Self {
        let spec = &server.spec;
        let requests = workload.requests.clone();
        let context = RowContext {
            expr_id: workload.expr_id,
            engine_id,
            engine: spec.name.as_str().into(),
            engine_kind: spec.kind.as_str().into(),
            simulated: spec.simulated,
            model: spec.model.as_str().into(),
            context_len_from: workload.lexicon.counted_for(&spec.model),
            reports_only_hits: spec.reports_only_hits,
            start: Stamp::now(),
        };
        Self {
            server,
            limits: workload.limits,
            said: vec![0; requests.len()],
            requests,
            context,
            counters: Arc::default(),
            lexicon: workload.lexicon.clone(),
            concurrency: workload.config.arrivals.concurrency,
            options: workload.config.request.clone(),
            id_prefix: format!("{}-{engine_id}", workload.id_prefix),
        }
    }

    /// The number of requests that were sent and that are in flight, and the GPU memory in use.
    pub(crate) fn progress(&self, memory: Option<&MemoryWatch>) -> EngineProgress {
        EngineProgress {
            gpu_mib: memory.and_then(|memory| memory.used_mib(self.context.engine_id)),
            ..self.counters.progress()
        }
    }

    /// Returns the time at which the last request is due, seconds from the start, if it is known
    /// before.
    pub fn planned_s(&self) -> Option<f64> {
        let free = self
            .requests
            .iter()
            .all(|request| request.after.is_none() && request.round == 0);
        let mut moments = self
            .requests
            .iter()
            .map(|request| request.timestamp.filter(|_| free));
        moments.try_fold(0.0, |last, moment| Some(f64::max(last, moment?)))
    }

    /// Requests that are under way at the same time if each takes longer than a moment: those that
    /// are due together, as far as the workload's own limit lets them.
    pub fn at_once(&self) -> usize {
        let free = self
            .requests
            .iter()
            .filter(|request| request.after.is_none() && request.round == 0);
        let mut together = HashMap::<Option<u64>, usize>::new();
        for request in free {
            *together
                .entry(request.timestamp.map(f64::to_bits))
                .or_default() += 1;
        }
        let most = together.into_values().max().unwrap_or(0);
        self.concurrency
            .map_or(most, |concurrency| concurrency.min(self.requests.len()))
    }

    fn flow(&self) -> (DependencyTracker, Vec<Ready>) {
        DependencyTracker::start(self.requests.clone(), self.concurrency)
    }

    /// Returns the plan of its requests. Completed requests go to `ended`.
    fn plan(&self, flow: DependencyTracker, ended: UnboundedSender<Completed>) -> SendPlan {
        let answers = Answers::new(self.requests.clone());
        SendPlan {
            engine_id: self.context.engine_id,
            target: Target {
                text_policy: if answers.are_needed() {
                    TextPolicy::Keep
                } else {
                    TextPolicy::Discard
                },
                ..self.server.target(&self.options, self.limits)
            },
            start: self.context.start,
            requests: self.requests.clone(),
            server: self.server.clone(),
            options: self.options.clone(),
            lexicon: self.lexicon.clone(),
            id_prefix: self.id_prefix.clone(),
            answers,
            counters: self.counters.clone(),
            flow: flow.has_dependencies().then(|| Mutex::new(flow)),
            ended,
        }
    }

    /// Returns a warning of rows whose count of output tokens is impossible.
    pub fn impossible_count(&self, rows: &[Row]) -> Option<String> {
        let max_tokens = |row: &Row| {
            self.options
                .max_tokens(&self.requests[row.request_id], self.server.extra_body())
        };
        same_work::impossible_count(rows, max_tokens)
    }

    /// The row of a request that has ended.
    pub fn row(&mut self, job: &SendJob, gpu_memory: &Arc<str>, exchange: &Exchange) -> Row {
        row_of(exchange, |exchange| {
            self.make_row(job, gpu_memory.clone(), exchange)
        })
    }

    fn make_row(&mut self, job: &SendJob, gpu_memory: Arc<str>, exchange: &Exchange) -> Row {
        let (i, request) = (job.index, &self.requests[job.index]);
        let before = request.continued().map_or(0, |before| self.said[before]);
        let ended = EndedRequest {
            job,
            request,
            x_request_id: request_id(&self.id_prefix, i),
            gpu_memory,
        };
        let mut row = Row::new(&self.context, ended, exchange);
        row.context_len += before;
        // An engine may repeat what it was sent, the key among it.
        row.error = row.error.map(|error| secrets::scrub(&error));
        self.said[i] = row.context_len + row.query_len + row.output_tokens.unwrap_or_default();
        row
    }
}

/// Returns the row that `make` makes of an exchange. If it panics, the request has failed: an answer that
/// lmrun cannot process must not lose the rows of other requests.
fn row_of(exchange: &Exchange, mut make: impl FnMut(&Exchange) -> Row) -> Row {
    if let Ok(row) = catch_unwind(AssertUnwindSafe(|| make(exchange))) {
        return row;
    }
    let reason = "lmrun itself failed on this answer: this is a bug in it".to_owned();
    let failure = Some(Failure::Aborted { reason });
    make(&Exchange {
        failure,
        sent: exchange.sent,
        ended: exchange.ended,
        ..Exchange::default()
    })
}

/// Sends the requests of all lanes, from one moment on; each end comes out of the channel, which
/// closes behind the last.
pub fn send(lanes: &mut [EngineRun], shards: &Shards) -> UnboundedReceiver<Completed> {
    let (sender, ended) = unbounded_channel();
    let flows: Vec<_> = lanes.iter().map(EngineRun::flow).collect();
    // Requests that are due at once need their connections first.
    let at_once = flows
        .iter()
        .flat_map(|(_, due)| due)
        .filter(|due| due.at_s < AT_ONCE_S)
        .count();
    let start = Stamp::now().plus_s(READY_S + CONNECT_S * at_once as f64);
    for (lane, (flow, due)) in lanes.iter_mut().zip(flows) {
        lane.context.start = start;
        let plan = lane.plan(flow, sender.clone());
        let jobs = due.into_iter().map(|due| plan.job(due)).collect();
        let plan: Arc<dyn RequestSource> = Arc::new(plan);
        shards.send(&plan, jobs);
    }
    ended
}

/// The error of a request that an interrupt cut off.
pub const INTERRUPTED: &str = "the run was interrupted";

/// The time to hand the first requests to the sending threads, seconds.
const READY_S: f64 = 0.01;
/// The time to open a connection, seconds, with a margin.
const CONNECT_S: f64 = 0.0002;
/// Requests that are due within this time of the start are due at once.
const AT_ONCE_S: f64 = 0.05;

/// The sending of one lane's requests.
struct SendPlan {
    engine_id: usize,
    target: Target,
    start: Stamp,
    requests: Arc<Vec<Request>>,
    server: Arc<Server>,
    options: RequestOptions,
    lexicon: Arc<Lexicon>,
    id_prefix: String,
    answers: Answers,
    counters: Arc<RequestCounters>,
    /// The dependencies between requests. `None` if there are none, so that requests share no lock.
    flow: Option<Mutex<DependencyTracker>>,
    ended: UnboundedSender<Completed>,
}

impl SendPlan {
    fn job(&self, due: Ready) -> SendJob {
        let unsent = due
            .without
            .map(|request| format!("request {request}, which it answers to, has no answer"));
        let at = |seconds| self.start.plus_s(seconds);
        SendJob {
            index: due.request,
            due: at(due.at_s),
            intended: due.intended_s.map(at),
            unsent,
        }
    }

    /// Everything that was said up to the messages of `index`.
    fn conversation(&self, index: usize) -> Vec<Said> {
        let request = &self.requests[index];
        let mut said = request.continued().map_or_else(Vec::new, |before| {
            let mut said = self.conversation(before);
            // A request that continues is sent only when that one was answered.
            said.push(("assistant".into(), self.answers.get(before)));
            said
        });
        said.extend(
            request
                .messages
                .iter()
                .map(|message| (message.role.clone(), message.text(&self.lexicon))),
        );
        said
    }
}

impl RequestSource for SendPlan {
    fn target(&self) -> &Target {
        &self.target
    }

    fn request_id(&self, index: usize) -> String {
        request_id(&self.id_prefix, index)
    }

    fn body(&self, index: usize) -> Bytes {
        let said = self.conversation(index);
        self.options.body(
            &self.server.spec.model,
            &self.requests[index],
            &said,
            self.server.extra_body(),
        )
    }

    fn max_tokens(&self, index: usize) -> Option<u64> {
        self.options
            .max_tokens(&self.requests[index], self.server.extra_body())
    }

    fn sending(&self) {
        self.counters.add_sent();
    }

    fn answered(&self) {
        self.counters.add_answered();
    }

    fn completed(&self, job: SendJob, mut exchange: Exchange) -> Vec<SendJob> {
        let index = job.index;
        let answered = exchange.failure.is_none();
        self.answers.add(index, std::mem::take(&mut exchange.text));
        let now_s = exchange
            .ended
            .unwrap_or_else(Stamp::now)
            .since_s(self.start);
        // Nobody listens to a run that was given up.
        let _ = self.ended.send(Completed {
            engine_id: self.engine_id,
            job,
            exchange,
        });
        let Some(flow) = &self.flow else {
            return Vec::new();
        };
        let due = flow.lock().ended(index, now_s, answered);
        due.into_iter().map(|due| self.job(due)).collect()
    }
}

fn request_id(prefix: &str, index: usize) -> String {
    format!("{prefix}-{index}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_makes_lmrun_panic_is_a_failed_request() {
        let sent = Some(Stamp(7));
        let row = row_of(
            &Exchange {
                sent,
                ..Exchange::default()
            },
            |exchange| {
                let failure = exchange.failure.as_ref().expect("a bug");
                Row {
                    error: Some(failure.to_string()),
                    send_lag_s: exchange.sent.map(|_| 0.5),
                    ..Row::default()
                }
            },
        );
        assert_eq!(
            row.error.as_deref(),
            Some("lmrun itself failed on this answer: this is a bug in it")
        );
        assert_eq!(row.send_lag_s, Some(0.5), "its moments stay");
    }
}
