//! The pacing thread.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    super::{
        log::Log,
        metrics::Metrics,
        scheduler::{Nanos, Note, RequestId, Scheduler, Step},
        words::FinishReason,
    },
    engine::{Command, Inbox, Submission, nanos_since},
    output::{Output, Progress},
};

/// Pause before a socket that took no more is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// Tokens written before commands are looked at again.
const BURST: usize = 64;

/// The state of the pacing thread.
pub struct Pacer {
    scheduler: Scheduler,
    active: HashMap<RequestId, Active>,
    blocked: Vec<RequestId>,
    inbox: Arc<Inbox>,
    metrics: Arc<Mutex<Metrics>>,
    started: Instant,
    log: Log,
}

/// A request whose answer is not wholly written yet.
struct Active {
    name: String,
    output: Output,
    arrived: Nanos,
    last_token: Nanos,
    blocked: bool,
    ended: bool,
}

impl Pacer {
    /// A pacer for this scheduler.
    pub fn new(
        scheduler: Scheduler,
        inbox: Arc<Inbox>,
        metrics: Arc<Mutex<Metrics>>,
        started: Instant,
        log: Log,
    ) -> Self {
        Self {
            scheduler,
            active: HashMap::new(),
            blocked: Vec::new(),
            inbox,
            metrics,
            started,
            log,
        }
    }

    /// Works until told to stop.
    pub fn run(mut self) {
        wake_exactly();
        while self.obey() {
            self.write_due();
            self.retry_blocked();
            self.tell();
            self.inbox.wait_until(self.next_moment());
        }
    }

    /// Carries out all commands; says whether to go on.
    fn obey(&mut self) -> bool {
        for command in self.inbox.take() {
            match command {
                Command::Submit(submission) => self.submit(*submission),
                Command::Abort(id) => self.abort(id),
                Command::Reset(reset, reply) => drop(reply.send(self.scheduler.reset(reset))),
                Command::Settle(reply) => {
                    self.tell();
                    // An error means that nobody waits any more.
                    let _ = reply.send(());
                }
                Command::Stop => return false,
            }
        }
        true
    }

    fn submit(&mut self, submission: Submission) {
        let Submission {
            id,
            name,
            arrived,
            job,
            output,
        } = submission;
        let active = Active {
            name,
            output,
            arrived,
            last_token: arrived,
            blocked: false,
            ended: false,
        };
        self.active.insert(id, active);
        self.scheduler.submit(self.now(), id, job);
    }

    fn abort(&mut self, id: RequestId) {
        let now = self.now();
        if self.scheduler.abort(now, id) {
            self.metrics.lock().aborted();
        }
        self.active.remove(&id);
    }

    fn write_due(&mut self) {
        let mut now = self.now();
        for _ in 0..BURST {
            let Some(step) = self.scheduler.step(now) else {
                return;
            };
            now = self.write(&step);
        }
    }

    /// Writes one token; the moment after it.
    fn write(&mut self, step: &Step) -> Nanos {
        let Some(active) = self.active.get_mut(&step.id) else {
            return self.now();
        };
        let progress = active.output.put(step);
        let now = nanos_since(self.started);
        count(&mut self.metrics.lock(), active, step, progress, now);
        active.last_token = now;
        active.ended = step.finish.is_some();
        self.tell_notes();
        self.settle(step.id, progress);
        now
    }

    fn retry_blocked(&mut self) {
        for id in std::mem::take(&mut self.blocked) {
            let Some(active) = self.active.get_mut(&id) else {
                continue;
            };
            active.blocked = false;
            let progress = active.output.flush();
            self.settle(id, progress);
        }
    }

    /// Draws the consequences of a write.
    fn settle(&mut self, id: RequestId, progress: Progress) {
        let Some(active) = self.active.get_mut(&id) else {
            return;
        };
        match progress {
            Progress::Written if active.ended => {
                if let Some(active) = self.active.remove(&id) {
                    active.output.finish();
                }
            }
            Progress::Written | Progress::Stalled => {}
            Progress::Blocked if active.blocked => {}
            Progress::Blocked => {
                active.blocked = true;
                self.blocked.push(id);
            }
            Progress::Broken => self.abort(id),
        }
    }

    /// Brings log and gauges up to date.
    fn tell(&mut self) {
        self.tell_notes();
        self.metrics.lock().set_load(self.scheduler.load());
    }

    fn tell_notes(&mut self) {
        for note in self.scheduler.take_notes() {
            let (Note::Looked { id, .. } | Note::Retrieved { id, .. } | Note::Stored { id, .. }) =
                note;
            let name = self
                .active
                .get(&id)
                .map_or("-", |active| active.name.as_str());
            self.log.note(name, &note);
        }
    }

    fn next_moment(&self) -> Option<Instant> {
        let due = self
            .scheduler
            .next_due()
            .map(|due| self.started + Duration::from_nanos(due));
        let retry = (!self.blocked.is_empty()).then(|| Instant::now() + RETRY);
        due.into_iter().chain(retry).min()
    }

    fn now(&self) -> Nanos {
        nanos_since(self.started)
    }
}

fn count(metrics: &mut Metrics, active: &Active, step: &Step, progress: Progress, now: Nanos) {
    let since = |moment: Nanos| now.saturating_sub(moment) as f64 / 1e9;
    match step.index {
        0 => metrics.first_token(step.sources, since(active.arrived)),
        _ => metrics.next_token(since(active.last_token)),
    }
    let finished = |finish: FinishReason| metrics.finished(finish, since(active.arrived));
    step.finish.into_iter().for_each(finished);
    match (progress, &active.output) {
        (Progress::Written, Output::Stream(_)) if !active.blocked => {
            metrics.written(now.saturating_sub(step.due));
        }
        (Progress::Blocked, _) => metrics.blocked(),
        _ => {}
    }
}

/// By default the kernel may wake a thread 50 µs late to save power.
#[cfg(target_os = "linux")]
fn wake_exactly() {
    // Where it is refused, chunks are a little later, which the metrics show.
    let _ = nix::sys::prctl::set_timerslack(1);
}

#[cfg(not(target_os = "linux"))]
fn wake_exactly() {}
