//! The side of the pacing thread that requests see.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{
    super::{
        log::Log,
        metrics::Metrics,
        scheduler::{Job, Nanos, RequestId, ResetTiers, Scheduler},
    },
    output::Output,
    thread::Pacer,
};

/// What requests ask of the pacing thread.
pub enum Command {
    /// Take a request.
    Submit(Box<Submission>),
    /// Drop a request, if it is still there.
    Abort(RequestId),
    /// Forget the caches.
    Reset(ResetTiers, oneshot::Sender<bool>),
    /// Bring the metrics up to date with all that is written.
    Settle(oneshot::Sender<()>),
    /// Drop everything and end.
    Stop,
}

/// One request on its way to the scheduler.
pub struct Submission {
    /// Its number.
    pub id: RequestId,
    /// Its id in the API, for the log.
    pub name: String,
    /// When it arrived.
    pub arrived: Nanos,
    /// What is to be computed.
    pub job: Job,
    /// Where the answer goes.
    pub output: Output,
}

/// Commands that wait for the pacing thread, and the bell that wakes it.
#[derive(Default)]
pub struct Inbox {
    commands: Mutex<Vec<Command>>,
    bell: Condvar,
}

impl Inbox {
    fn send(&self, command: Command) {
        self.commands.lock().push(command);
        self.bell.notify_one();
    }

    /// All commands that wait.
    pub fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *self.commands.lock())
    }

    /// Waits for a command, or for this moment.
    pub fn wait_until(&self, moment: Option<Instant>) {
        let mut commands = self.commands.lock();
        if !commands.is_empty() {
            return;
        }
        match moment {
            Some(moment) => drop(self.bell.wait_until(&mut commands, moment)),
            None => self.bell.wait(&mut commands),
        }
    }
}

/// A running engine.
pub struct Engine {
    inbox: Arc<Inbox>,
    metrics: Arc<Mutex<Metrics>>,
    started: Instant,
    next_id: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the pacing thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(scheduler: Scheduler, log: Log) -> io::Result<Self> {
        let (inbox, metrics) = (Arc::<Inbox>::default(), Arc::<Mutex<Metrics>>::default());
        let started = Instant::now();
        let pacer = Pacer::new(
            scheduler,
            Arc::clone(&inbox),
            Arc::clone(&metrics),
            started,
            log,
        );
        let thread = thread::Builder::new()
            .name("sim-pacer".to_owned())
            .spawn(move || pacer.run())?;
        Ok(Self {
            inbox,
            metrics,
            started,
            next_id: AtomicU64::new(1),
            thread: Some(thread),
        })
    }

    /// Now, on the clock of the engine.
    pub fn now(&self) -> Nanos {
        nanos_since(self.started)
    }

    /// Hands a request over. It is aborted when the ticket is dropped before its end.
    pub fn submit(&self, name: String, arrived: Nanos, job: Job, output: Output) -> Ticket {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.inbox.send(Command::Submit(Box::new(Submission {
            id,
            name,
            arrived,
            job,
            output,
        })));
        Ticket {
            id,
            inbox: Arc::clone(&self.inbox),
        }
    }

    /// Forgets the KV pool, and the tiers where asked. Says whether it could.
    pub async fn reset(&self, reset: ResetTiers) -> bool {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Command::Reset(reset, reply));
        answer.await.unwrap_or(false)
    }

    /// Reads the metrics: they count every chunk that any client has seen by now.
    pub async fn metrics<T>(&self, read: impl FnOnce(&Metrics) -> T) -> T {
        let (reply, settled) = oneshot::channel();
        self.inbox.send(Command::Settle(reply));
        // An engine that stopped counts no more.
        let _ = settled.await;
        read(&self.metrics.lock())
    }

    /// Drops all requests, as if the engine had died.
    pub fn stop(&self) {
        self.inbox.send(Command::Stop);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

/// Holds a request in the engine for as long as somebody waits for it.
pub struct Ticket {
    id: RequestId,
    inbox: Arc<Inbox>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.inbox.send(Command::Abort(self.id));
    }
}

/// Nanoseconds since a moment.
pub fn nanos_since(moment: Instant) -> Nanos {
    moment.elapsed().as_nanos() as Nanos
}
