//! Threads that send requests at their planned moments and do nothing else.
//!
//! Each shard is a runtime of its own on a thread of its own: no work is stolen, no lock is
//! shared, and neither the script nor the terminal nor the writer of rows runs there.

use super::connection::Pool;
use super::exchange::{self, Exchange};
use super::failure::Failure;
use super::pacer::Pacer;
use super::target::Target;
use crate::driver::clock::Stamp;
use bytes::Bytes;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

/// Makes the body of a request, called just before it is due.
pub type BuildBody = Arc<dyn Fn(usize) -> Bytes + Send + Sync>;

/// One planned request.
#[derive(Clone)]
pub struct Job {
    /// Which one it is, in the words of whoever planned it.
    pub index: usize,
    /// When to send it.
    pub due: Stamp,
    /// Its `x-request-id`.
    pub request_id: String,
    /// Where to.
    pub target: Arc<Target>,
    /// Its body, given `index`.
    pub body: BuildBody,
}

/// So long before a request is due its body is built and its connection is opened.
const LEAD_S: f64 = 0.05;

/// A batch of jobs in order of their moments, and where their exchanges go.
struct Batch {
    jobs: Vec<Job>,
    exchanges: UnboundedSender<(usize, Exchange)>,
}

/// The sending threads. They end when this is dropped.
pub struct Shards {
    senders: Vec<UnboundedSender<Batch>>,
    threads: Vec<JoinHandle<()>>,
}

impl Shards {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the system gives no thread, runtime or timer.
    pub fn start(count: usize) -> std::io::Result<Self> {
        let mut shards = Self { senders: Vec::new(), threads: Vec::new() };
        for number in 0..count {
            let (sender, batches) = unbounded_channel();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let work = move || LocalSet::new().block_on(&runtime, serve(batches));
            shards.threads.push(std::thread::Builder::new().name(format!("send-{number}")).spawn(work)?);
            shards.senders.push(sender);
        }
        Ok(shards)
    }

    /// As many threads as this machine can give to sending, leaving most cores to the engines.
    ///
    /// # Errors
    /// As [`Shards::start`].
    pub fn for_this_machine() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::start((cores / 4).clamp(1, 8))
    }

    /// Sends every job when it is due; each exchange comes out as it ends.
    pub fn send(&self, mut jobs: Vec<Job>) -> UnboundedReceiver<(usize, Exchange)> {
        let (exchanges, receiver) = unbounded_channel();
        jobs.sort_by_key(|job| job.due);
        let mut parts = vec![Vec::new(); self.senders.len()];
        for (place, job) in jobs.into_iter().enumerate() {
            parts[place % self.senders.len()].push(job);
        }
        for (sender, jobs) in self.senders.iter().zip(parts) {
            // A shard ends only when `self` does.
            let _ = sender.send(Batch { jobs, exchanges: exchanges.clone() });
        }
        receiver
    }

    /// How early a first request must be planned to be prepared in time, seconds.
    pub const LEAD_S: f64 = LEAD_S;
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.senders.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // a panic in a shard was printed by its thread
        }
    }
}

async fn serve(mut batches: UnboundedReceiver<Batch>) {
    let pacer = Pacer::start().expect("a timerfd can be made wherever epoll can");
    let pool = Rc::new(Pool::default());
    while let Some(batch) = batches.recv().await {
        spawn_local(pace(batch, pacer.clone(), pool.clone()));
    }
}

/// Starts each job of a batch in time to be prepared when it is due.
async fn pace(batch: Batch, pacer: Pacer, pool: Rc<Pool>) {
    for job in batch.jobs {
        let mut abort = job.target.abort.clone();
        tokio::select! {
            () = pacer.sleep_until(job.due.plus_s(-LEAD_S)) => {}
            _ = exchange::aborted(&mut abort) => {} // the job will say so itself
        }
        let (pacer, pool, exchanges) = (pacer.clone(), pool.clone(), batch.exchanges.clone());
        spawn_local(async move {
            let exchange = run(&job, &pacer, &pool).await;
            let _ = exchanges.send((job.index, exchange)); // nobody waits for a run that was given up
        });
    }
}

/// Prepares, waits, sends and reads one request.
async fn run(job: &Job, pacer: &Pacer, pool: &Pool) -> Exchange {
    let mut abort = job.target.abort.clone();
    let prepared = async {
        let body = (job.body)(job.index);
        let connection = pool.take(&job.target).await?;
        let connected_late = Stamp::now() > job.due;
        pacer.sleep_until(job.due).await;
        Ok((body, connection, connected_late))
    };
    let prepared = tokio::select! {
        prepared = prepared => prepared,
        failure = exchange::aborted(&mut abort) => Err(failure),
    };
    match prepared {
        Ok((body, connection, connected_late)) => {
            let seen = send(job, pool, body, connection).await;
            Exchange { connected_late, ..seen }
        }
        Err(failure) => failed(failure),
    }
}

async fn send(
    job: &Job,
    pool: &Pool,
    body: Bytes,
    mut connection: super::connection::Connection,
) -> Exchange {
    let (seen, reusable) = exchange::exchange(&mut connection, &job.target, &job.request_id, body).await;
    if reusable {
        pool.give_back(&job.target.authority, connection);
    }
    seen
}

fn failed(failure: Failure) -> Exchange {
    Exchange { failure: Some(failure), ..Exchange::default() }
}
