//! The pacing thread.

use super::engine::{PacerCommand, SharedState, Submission};
use super::output::{AnswerOutput, WriteProgress};
use crate::sim::log;
use crate::sim::metrics::Metrics;
use crate::sim::scheduler::{DueToken, Nanos, RequestId, Scheduler};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The pause before a blocked socket is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// The maximum number of tokens written between two looks at the commands.
const BURST: usize = 64;

/// The state of the pacing thread.
pub(crate) struct SimPacer {
    scheduler: Scheduler,
    active: HashMap<RequestId, ActiveAnswer>,
    blocked: Vec<RequestId>,
    shared: Arc<SharedState>,
}

/// An answer that has not been written completely.
struct ActiveAnswer {
    name: String,
    output: AnswerOutput,
    arrived: Nanos,
    last_token: Nanos,
    blocked: bool,
    ended: bool,
}

impl SimPacer {
    pub(crate) fn new(scheduler: Scheduler, shared: Arc<SharedState>) -> Self {
        Self {
            scheduler,
            active: HashMap::new(),
            blocked: Vec::new(),
            shared,
        }
    }

    /// Runs until it is stopped.
    pub(crate) fn run(mut self) {
        reduce_timer_slack();
        while self.run_commands() {
            self.write_due();
            self.retry_blocked();
            self.update_metrics();
            self.shared.wait_for_command(self.next_deadline());
        }
    }

    /// Runs all commands. Returns false after a stop.
    fn run_commands(&mut self) -> bool {
        for command in self.shared.take_commands() {
            match command {
                PacerCommand::Submit(id, submission) => self.submit(id, *submission),
                PacerCommand::Abort(id) => self.abort(id),
                PacerCommand::Reset(reset, reply) => {
                    // An error means that the client has left.
                    let _ = reply.send(self.scheduler.reset(reset));
                }
                PacerCommand::UpdateMetrics(reply) => {
                    self.update_metrics();
                    let _ = reply.send(());
                }
                PacerCommand::Stop => return false,
            }
        }
        true
    }

    fn submit(&mut self, id: RequestId, submission: Submission) {
        let active = ActiveAnswer {
            name: submission.name,
            output: submission.output,
            arrived: submission.arrived,
            last_token: submission.arrived,
            blocked: false,
            ended: false,
        };
        self.active.insert(id, active);
        self.scheduler.submit(self.shared.now(), id, submission.job);
    }

    fn abort(&mut self, id: RequestId) {
        if self.scheduler.abort(self.shared.now(), id) {
            self.shared.metrics.lock().aborted += 1;
        }
        self.active.remove(&id);
    }

    fn write_due(&mut self) {
        let mut now = self.shared.now();
        for _ in 0..BURST {
            let Some(token) = self.scheduler.next_token(now) else {
                return;
            };
            now = self.write(&token);
        }
    }

    /// Writes one token, and returns the time after it.
    fn write(&mut self, token: &DueToken) -> Nanos {
        let Some(active) = self.active.get_mut(&token.id) else {
            return self.shared.now();
        };
        let progress = active.output.put(token);
        let now = self.shared.now();
        let mut metrics = self.shared.metrics.lock();
        active.count(&mut metrics, token, now);
        active.count_write(&mut metrics, progress, now.saturating_sub(token.due));
        drop(metrics);
        active.last_token = now;
        active.ended = token.finish.is_some();
        self.log_cache_events();
        self.after_write(token.id, progress);
        now
    }

    fn retry_blocked(&mut self) {
        for id in std::mem::take(&mut self.blocked) {
            let Some(active) = self.active.get_mut(&id) else {
                continue;
            };
            active.blocked = false;
            let progress = active.output.flush();
            self.after_write(id, progress);
        }
    }

    fn after_write(&mut self, id: RequestId, progress: WriteProgress) {
        let Some(active) = self.active.get_mut(&id) else {
            return;
        };
        match progress {
            WriteProgress::Written if active.ended => {
                if let Some(active) = self.active.remove(&id) {
                    active.output.finish();
                }
            }
            WriteProgress::Written | WriteProgress::Stalled => {}
            WriteProgress::Blocked if active.blocked => {}
            WriteProgress::Blocked => {
                active.blocked = true;
                self.blocked.push(id);
            }
            WriteProgress::Broken => self.abort(id),
        }
    }

    fn update_metrics(&mut self) {
        self.log_cache_events();
        self.shared.metrics.lock().load = self.scheduler.load();
    }

    fn log_cache_events(&mut self) {
        for event in self.scheduler.take_events() {
            let active = self.active.get(&event.request());
            let name = active.map_or("-", |active| active.name.as_str());
            log::cache_event(name, &event);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let due = self
            .scheduler
            .next_due()
            .map(|due| self.shared.instant(due));
        let retry = (!self.blocked.is_empty()).then(|| Instant::now() + RETRY);
        due.into_iter().chain(retry).min()
    }
}

impl ActiveAnswer {
    /// Counts a token that was written at `now`.
    fn count(&self, metrics: &mut Metrics, token: &DueToken, now: Nanos) {
        if token.index == 0 {
            metrics.count_first_token(token.sources, seconds_between(self.arrived, now));
        } else {
            metrics.count_next_token(seconds_between(self.last_token, now));
        }
        if let Some(finish) = token.finish {
            metrics.count_finished(finish, seconds_between(self.arrived, now));
        }
    }

    /// Counts a chunk that was written, or blocked, `late_ns` after it was due.
    fn count_write(&self, metrics: &mut Metrics, progress: WriteProgress, late_ns: u64) {
        match (progress, &self.output) {
            (WriteProgress::Written, AnswerOutput::Stream(_)) if !self.blocked => {
                metrics.count_written(late_ns);
            }
            (WriteProgress::Blocked, _) => metrics.blocked_writes += 1,
            _ => {}
        }
    }
}

fn seconds_between(start: Nanos, end: Nanos) -> f64 {
    end.saturating_sub(start) as f64 / 1e9
}

/// Reduces the delay with which the kernel wakes the thread, which is 50 µs by default.
#[cfg(target_os = "linux")]
fn reduce_timer_slack() {
    // If this fails, chunks are slightly later, as the metrics show.
    let _ = nix::sys::prctl::set_timerslack(1);
}

#[cfg(not(target_os = "linux"))]
fn reduce_timer_slack() {}
