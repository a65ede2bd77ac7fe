//! The handle of the pacing thread.

use super::output::AnswerOutput;
use super::thread::SimPacer;
use crate::sim::metrics::Metrics;
use crate::sim::scheduler::{Nanos, RequestId, ResetTiers, Scheduler, SimJob};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A command to the pacing thread.
pub(crate) enum PacerCommand {
    Submit(RequestId, Box<Submission>),
    /// Drop the request, if it has not ended.
    Abort(RequestId),
    /// Clear the caches.
    Reset(ResetTiers, oneshot::Sender<bool>),
    /// Update the metrics.
    UpdateMetrics(oneshot::Sender<()>),
    /// Drop all requests and end the thread.
    Stop,
}

/// An answer to compute.
pub(crate) struct Submission {
    /// The API's id of the answer, for the log.
    pub(crate) name: String,
    /// The time at which the request arrived.
    pub(crate) arrived: Nanos,
    pub(crate) job: SimJob,
    pub(crate) output: AnswerOutput,
}

/// The state that the pacing thread shares with the requests.
pub(crate) struct SharedState {
    commands: Mutex<Vec<PacerCommand>>,
    commands_changed: Condvar,
    pub(crate) metrics: Mutex<Metrics>,
    started: Instant,
}

impl SharedState {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            commands: Mutex::default(),
            commands_changed: Condvar::new(),
            metrics: Mutex::default(),
            started: Instant::now(),
        })
    }

    fn send(&self, command: PacerCommand) {
        self.commands.lock().push(command);
        self.commands_changed.notify_one();
    }

    /// Returns all commands that wait.
    pub(crate) fn take_commands(&self) -> Vec<PacerCommand> {
        std::mem::take(&mut *self.commands.lock())
    }

    /// Waits for a command, at most until `deadline`.
    pub(crate) fn wait_for_command(&self, deadline: Option<Instant>) {
        let mut commands = self.commands.lock();
        if !commands.is_empty() {
            return;
        }
        match deadline {
            Some(deadline) => drop(self.commands_changed.wait_until(&mut commands, deadline)),
            None => self.commands_changed.wait(&mut commands),
        }
    }

    /// The time on the engine's clock.
    pub(crate) fn now(&self) -> Nanos {
        self.started.elapsed().as_nanos() as Nanos
    }

    /// Converts a time on the engine's clock.
    pub(crate) fn instant(&self, time: Nanos) -> Instant {
        self.started + Duration::from_nanos(time)
    }
}

/// A running simulated engine.
pub(crate) struct SimEngine {
    shared: Arc<SharedState>,
    next_id: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl SimEngine {
    /// Starts the pacing thread.
    ///
    /// # Errors
    /// Fails if the system does not start a thread.
    pub(crate) fn start(scheduler: Scheduler) -> io::Result<Self> {
        let shared = SharedState::new();
        let pacer = SimPacer::new(scheduler, Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("sim-pacer".to_owned())
            .spawn(move || pacer.run())?;
        Ok(Self {
            shared,
            next_id: AtomicU64::new(1),
            thread: Some(thread),
        })
    }

    /// The time on the engine's clock.
    pub(crate) fn now(&self) -> Nanos {
        self.shared.now()
    }

    /// Submits an answer. It is aborted if the ticket is dropped before its end.
    pub(crate) fn submit(&self, submission: Submission) -> RequestTicket {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.shared
            .send(PacerCommand::Submit(id, Box::new(submission)));
        RequestTicket {
            id,
            shared: Arc::clone(&self.shared),
        }
    }

    /// Clears the KV pool, and the tiers if requested. Returns false if requests hold blocks.
    pub(crate) async fn reset(&self, reset: ResetTiers) -> bool {
        let (reply, answer) = oneshot::channel();
        self.shared.send(PacerCommand::Reset(reset, reply));
        answer.await.unwrap_or(false)
    }

    /// Reads the metrics, which include each chunk that a client has received before this call.
    pub(crate) async fn metrics<T>(&self, read: impl FnOnce(&Metrics) -> T) -> T {
        let (reply, updated) = oneshot::channel();
        self.shared.send(PacerCommand::UpdateMetrics(reply));
        // An error means that the engine has stopped, after which its metrics do not change.
        let _ = updated.await;
        read(&self.shared.metrics.lock())
    }

    /// Drops all requests, as if the engine had crashed.
    pub(crate) fn stop(&self) {
        self.shared.send(PacerCommand::Stop);
    }
}

impl Drop for SimEngine {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

/// Keeps an answer in the engine; dropping it aborts the answer.
pub(crate) struct RequestTicket {
    id: RequestId,
    shared: Arc<SharedState>,
}

impl Drop for RequestTicket {
    fn drop(&mut self) {
        self.shared.send(PacerCommand::Abort(self.id));
    }
}
