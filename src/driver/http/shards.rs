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
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

/// One request that is to be sent.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which one it is, in the words of whoever planned it.
    pub index: usize,
    /// When to send it; at once where that is past.
    pub due: Stamp,
    /// Why it cannot be sent at all.
    pub unsent: Option<String>,
}

/// What a batch of jobs is about. Its methods are called on the sending threads.
pub trait Plan: Send + Sync {
    /// Where they go.
    fn target(&self) -> &Target;

    /// The `x-request-id` of one.
    fn request_id(&self, index: usize) -> String;

    /// The body of one, asked for just before it is due.
    fn body(&self, index: usize) -> Bytes;

    /// Takes what was seen of one, and says what can be sent now.
    fn ended(&self, job: Job, exchange: Exchange) -> Vec<Job>;
}

/// So long before a request is due its body is built and its connection is opened.
const LEAD_S: f64 = 0.05;

/// A batch of jobs in order of their moments.
struct Batch {
    plan: Arc<dyn Plan>,
    jobs: Vec<Job>,
}

/// The sending threads. They end when this is dropped.
pub struct Shards {
    senders: Vec<UnboundedSender<Batch>>,
    threads: Vec<JoinHandle<()>>,
    next: AtomicUsize,
}

impl Shards {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the system gives no thread, runtime or timer.
    pub fn start(count: usize) -> std::io::Result<Self> {
        let mut shards = Self { senders: Vec::new(), threads: Vec::new(), next: AtomicUsize::new(0) };
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

    /// Sends every job when it is due, and what follows from it. The plan is dropped when all
    /// have ended.
    pub fn send(&self, plan: &Arc<dyn Plan>, mut jobs: Vec<Job>) {
        jobs.sort_by_key(|job| job.due);
        let shards = self.senders.len();
        // Batches begin at different shards: engines that are asked at the same moment are asked
        // by different threads.
        let first = self.next.fetch_add(1, Relaxed);
        let mut parts = vec![Vec::new(); shards];
        for (place, job) in jobs.into_iter().enumerate() {
            parts[(first + place) % shards].push(job);
        }
        for (sender, jobs) in self.senders.iter().zip(parts) {
            // A shard ends only when `self` does.
            let _ = sender.send(Batch { plan: plan.clone(), jobs });
        }
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
        let mut abort = batch.plan.target().abort.clone();
        tokio::select! {
            () = pacer.sleep_until(job.due.plus_s(-LEAD_S)) => {}
            _ = exchange::aborted(&mut abort) => {} // the job will say so itself
        }
        spawn_local(follow(job, batch.plan.clone(), pacer.clone(), pool.clone()));
    }
}

/// Sends one job and then, on this thread, what it sets free.
async fn follow(job: Job, plan: Arc<dyn Plan>, pacer: Pacer, pool: Rc<Pool>) {
    let mut next = Some(job);
    while let Some(job) = next.take() {
        let exchange = run(&job, &*plan, &pacer, &pool).await;
        let mut jobs = plan.ended(job, exchange).into_iter();
        next = jobs.next();
        if jobs.len() > 0 {
            spawn_local(again(
                Batch { plan: plan.clone(), jobs: jobs.collect() },
                pacer.clone(),
                pool.clone(),
            ));
        }
    }
}

/// [`pace`] in a box: a future cannot hold one of its own kind.
fn again(mut batch: Batch, pacer: Pacer, pool: Rc<Pool>) -> Pin<Box<dyn Future<Output = ()>>> {
    batch.jobs.sort_by_key(|job| job.due);
    Box::pin(pace(batch, pacer, pool))
}

/// Prepares, waits, sends and reads one request.
async fn run(job: &Job, plan: &dyn Plan, pacer: &Pacer, pool: &Pool) -> Exchange {
    if let Some(reason) = &job.unsent {
        return failed(Failure::Unsent { reason: reason.clone() });
    }
    let target = plan.target();
    let mut abort = target.abort.clone();
    let prepared = async {
        pacer.sleep_until(job.due.plus_s(-LEAD_S)).await;
        let body = plan.body(job.index);
        let (connection, is_new) = pool.take(target).await?;
        let connected_late = is_new && Stamp::now() > job.due;
        pacer.sleep_until(job.due).await;
        Ok((body, connection, connected_late))
    };
    let prepared = tokio::select! {
        prepared = prepared => prepared,
        failure = exchange::aborted(&mut abort) => Err(failure),
    };
    let (body, mut connection, connected_late) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return failed(failure),
    };
    let request_id = plan.request_id(job.index);
    let (seen, reusable) = exchange::exchange(&mut connection, target, &request_id, body).await;
    if reusable {
        pool.give_back(&target.authority, connection);
    }
    Exchange { connected_late, ..seen }
}

fn failed(failure: Failure) -> Exchange {
    Exchange { failure: Some(failure), ..Exchange::default() }
}
