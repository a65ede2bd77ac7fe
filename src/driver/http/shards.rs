//! Threads that only send requests at their planned times.
//!
//! Each shard is a thread with a runtime: work does not move between threads, no lock is shared,
//! and neither scripts nor the terminal nor the writer of rows run there.

use super::connection::{Connection, ConnectionPool};
use super::exchange::{self, Arrival, Attempt, Exchange, PreparedRequest};
use super::failure::Failure;
use super::pacer::Pacer;
use super::stalls::Stalls;
use super::target::Target;
use super::timeouts::Timeouts;
use crate::driver::clock::Stamp;
use bytes::Bytes;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use tokio::sync::mpsc::{
    UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel,
};
use tokio::task::{LocalSet, spawn_local};

/// One request to send.
#[derive(Clone, Debug)]
pub struct SendJob {
    /// The index of the request in its source.
    pub index: usize,
    /// The time at which to send it; at once if it has passed.
    pub due: Stamp,
    /// The time of its schedule, before it had to wait for others. Sending ignores it.
    pub intended: Option<Stamp>,
    /// The reason why it cannot be sent.
    pub unsent: Option<String>,
}

/// The source of a batch's requests. Its methods are called on the sending threads.
pub trait RequestSource: Send + Sync {
    /// Returns the target of all requests.
    fn target(&self) -> &Target;

    /// Returns the `x-request-id` of a request.
    fn request_id(&self, index: usize) -> String;

    /// Returns the body of a request, shortly before it is due.
    fn body(&self, index: usize) -> Bytes;

    /// Returns the maximum number of tokens of a request's answer, if it is known.
    fn max_tokens(&self, _: usize) -> Option<u64> {
        None
    }

    /// Called before a request is sent. It delays the request.
    fn sending(&self) {}

    /// Called when a request that was sent has ended.
    fn answered(&self) {}

    /// Receives the exchange of a job, and returns the jobs that can be sent now.
    fn completed(&self, job: SendJob, exchange: Exchange) -> Vec<SendJob>;
}

/// The time before a request is due at which it is prepared, seconds.
const LEAD_S: f64 = 0.05;

/// The jobs of one source for one shard, in order of their times.
struct Batch {
    source: Arc<dyn RequestSource>,
    jobs: Vec<SendJob>,
}

/// The sending threads. They end when this is dropped.
pub struct Shards {
    senders: Vec<UnboundedSender<Batch>>,
    threads: Vec<JoinHandle<()>>,
    tids: Vec<i32>,
    /// The number of opened connections.
    opened: Arc<AtomicUsize>,
    /// The shard that gets the first job of the next batch.
    next: AtomicUsize,
}

impl Shards {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// Fails if the system cannot create a thread, runtime or timer.
    pub fn start(count: usize) -> std::io::Result<Self> {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..count).map(|_| unbounded_channel()).unzip();
        let peers: Vec<_> = senders.iter().map(UnboundedSender::downgrade).collect();
        // From here on, an error drops the threads that have started.
        let mut shards = Self {
            senders,
            threads: Vec::new(),
            tids: Vec::new(),
            opened: Arc::default(),
            next: AtomicUsize::new(0),
        };
        let (tid_sender, tids) = std::sync::mpsc::channel();
        for (number, batches) in receivers.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let tid_sender = tid_sender.clone();
            let peers = peers.clone();
            let opened = shards.opened.clone();
            let thread = std::thread::Builder::new()
                .name(format!("send-{number}"))
                .spawn(move || {
                    let _ = tid_sender.send(nix::unistd::gettid().as_raw()); // received below
                    LocalSet::new().block_on(&runtime, serve(batches, peers, opened));
                })?;
            shards.threads.push(thread);
        }
        shards.tids = tids.iter().take(count).collect();
        Ok(shards)
    }

    /// Returns the thread ids.
    pub fn threads(&self) -> &[i32] {
        &self.tids
    }

    /// Returns the number of connections opened so far.
    pub fn opened(&self) -> usize {
        self.opened.load(Relaxed)
    }

    /// Starts a quarter as many threads as there are cores, 1 to 8: the engines need the rest.
    ///
    /// # Errors
    /// Fails as [`Shards::start`] does.
    pub fn for_this_machine() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::start((cores / 4).clamp(1, 8))
    }

    /// Sends every job when it is due, and the jobs that follow from it. Drops the source when all
    /// have ended.
    pub fn send(&self, source: &Arc<dyn RequestSource>, jobs: Vec<SendJob>) {
        // Batches begin at different shards, so that different threads send to engines at one time.
        let first = self.next.fetch_add(1, Relaxed);
        let source = source.clone();
        deal(Batch { source, jobs }, &self.senders, first);
    }

    /// The time before its first request at which a batch must be sent, seconds.
    pub const LEAD_S: f64 = LEAD_S;
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.senders.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // a thread that panicked has printed its message
        }
    }
}

/// The state that the requests of one shard share.
#[derive(Clone)]
struct Shard {
    pacer: Pacer,
    pool: Rc<ConnectionPool>,
    timeouts: Timeouts,
    stalls: Stalls,
    /// All shards, including this one.
    peers: Rc<[WeakUnboundedSender<Batch>]>,
}

async fn serve(
    mut batches: UnboundedReceiver<Batch>,
    peers: Vec<WeakUnboundedSender<Batch>>,
    opened: Arc<AtomicUsize>,
) {
    let pacer = Pacer::start().expect("a timerfd can be created wherever epoll can");
    let shard = Shard {
        stalls: Stalls::start(pacer.clone()),
        pacer,
        pool: Rc::new(ConnectionPool::new(opened)),
        timeouts: Timeouts::start(),
        peers: peers.into(),
    };
    while let Some(batch) = batches.recv().await {
        spawn_local(pace(batch, shard.clone()));
    }
}

/// Starts each job of a batch shortly before it is due.
async fn pace(batch: Batch, shard: Shard) {
    for job in batch.jobs {
        let mut abort = batch.source.target().abort.clone();
        tokio::select! {
            () = shard.pacer.sleep_until(job.due.plus_s(-LEAD_S)) => {}
            _ = exchange::aborted(&mut abort) => {} // the job will fail
        }
        spawn_local(follow(job, batch.source.clone(), shard.clone()));
    }
}

/// Runs one job and then those that follow from it: one job on this thread, several on all.
async fn follow(job: SendJob, source: Arc<dyn RequestSource>, shard: Shard) {
    let mut next = Some(job);
    while let Some(job) = next.take() {
        let mut exchange = run(&job, &*source, &shard).await;
        exchange.ended = Some(exchange.done.map_or_else(Stamp::now, Arrival::at));
        let mut jobs = source.completed(job, exchange);
        if jobs.len() > 1 {
            let senders: Vec<_> = shard
                .peers
                .iter()
                .filter_map(WeakUnboundedSender::upgrade)
                .collect();
            return deal(Batch { source, jobs }, &senders, 0);
        }
        next = jobs.pop();
    }
}

/// Distributes the jobs of a batch over the shards, beginning with shard number `first`.
fn deal(mut batch: Batch, shards: &[UnboundedSender<Batch>], first: usize) {
    batch.jobs.sort_by_key(|job| job.due);
    let mut parts = vec![Vec::new(); shards.len()];
    for (position, job) in batch.jobs.into_iter().enumerate() {
        parts[(first + position) % shards.len()].push(job);
    }
    for (shard, jobs) in shards.iter().zip(parts) {
        if !jobs.is_empty() {
            let source = batch.source.clone();
            let _ = shard.send(Batch { source, jobs }); // fails only after all shards have ended
        }
    }
}

/// A request whose connection is open, at the time at which it is due.
struct DueRequest {
    request: PreparedRequest,
    connection: Connection,
    is_new: bool,
    connected_late: bool,
}

/// Prepares one request, waits until it is due, sends it and reads its answer.
async fn run(job: &SendJob, source: &dyn RequestSource, shard: &Shard) -> Exchange {
    if let Some(reason) = &job.unsent {
        return Exchange::failed(Failure::Unsent {
            reason: reason.clone(),
        });
    }
    let target = source.target();
    let mut abort = target.abort.clone();
    let prepared = tokio::select! {
        prepared = prepare(job, source, shard) => prepared,
        failure = exchange::aborted(&mut abort) => Err(failure),
    };
    let DueRequest {
        request,
        connection,
        is_new,
        connected_late,
    } = match prepared {
        Ok(due) => due,
        Err(failure) => return Exchange::failed(failure),
    };
    source.sending();
    let mut exchange = shard.send(target, &request, connection).await;
    if !is_new && exchange.is_unanswered() {
        exchange = shard.send_again(target, &request, exchange).await;
    }
    source.answered();
    exchange.connected_late = connected_late;
    exchange
}

/// Builds a request and opens its connection, then waits until it is due.
async fn prepare(
    job: &SendJob,
    source: &dyn RequestSource,
    shard: &Shard,
) -> Result<DueRequest, Failure> {
    shard.pacer.sleep_until(job.due.plus_s(-LEAD_S)).await;
    let target = source.target();
    let request = PreparedRequest {
        request_id: source.request_id(job.index),
        body: source.body(job.index),
        max_tokens: source.max_tokens(job.index),
    };
    let (connection, is_new) = match shard.pool.reuse(target) {
        Some(connection) => (connection, false),
        None => (shard.pool.connect(target).await?, true),
    };
    let connected_late = is_new && Stamp::now() > job.due;
    shard.pacer.sleep_until(job.due).await;
    Ok(DueRequest {
        request,
        connection,
        is_new,
        connected_late,
    })
}

impl Shard {
    async fn send(
        &self,
        target: &Target,
        request: &PreparedRequest,
        mut connection: Connection,
    ) -> Exchange {
        let attempt = Attempt {
            target,
            request,
            timeout: &self.timeouts.add(target),
        };
        let (mut exchange, is_reusable) = attempt.run(&mut connection).await;
        if is_reusable {
            self.pool.give_back(target, connection);
        }
        exchange.stalled = self.stalls.effect_on(&exchange, Stamp::now());
        exchange
    }

    /// Sends a request again, after the server has closed an idle connection just when it was used.
    /// Such a server closes after every answer, so no connection to it is used twice any more.
    async fn send_again(
        &self,
        target: &Target,
        request: &PreparedRequest,
        first: Exchange,
    ) -> Exchange {
        target.keeps_alive.store(false, Relaxed);
        let Ok(connection) = self.pool.connect(target).await else {
            return first; // the server has exited: the broken connection says more
        };
        let mut exchange = self.send(target, request, connection).await;
        exchange.sent = first.sent.or(exchange.sent);
        exchange.resent = true;
        exchange
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::TextPolicy;
    use super::super::target::{RequestLimits, StreamEnd};
    use super::*;
    use crate::driver::address::Scheme;
    use crate::driver::units::Seconds;
    use parking_lot::Mutex;
    use std::collections::BTreeMap;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;
    use tokio::sync::watch;

    /// Three requests, each sent when the one before it has ended.
    struct Chain {
        target: Target,
        gap_s: f64,
        seen: Mutex<Vec<Exchange>>,
        done: UnboundedSender<()>,
    }

    impl RequestSource for Chain {
        fn target(&self) -> &Target {
            &self.target
        }

        fn request_id(&self, index: usize) -> String {
            index.to_string()
        }

        fn body(&self, _: usize) -> Bytes {
            Bytes::from_static(b"{}")
        }

        fn completed(&self, job: SendJob, exchange: Exchange) -> Vec<SendJob> {
            self.seen.lock().push(exchange);
            let _ = self.done.send(());
            let next = SendJob {
                index: job.index + 1,
                due: Stamp::now().plus_s(self.gap_s),
                ..job
            };
            if next.index < 3 {
                vec![next]
            } else {
                Vec::new()
            }
        }
    }

    /// Reads one request and answers it.
    fn answer(stream: &mut TcpStream) {
        let mut buffer = [0; 4096];
        let mut read = 0;
        while !buffer[..read].ends_with(b"{}") {
            read += stream.read(&mut buffer[read..]).expect("a request");
        }
        let body = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n\
            data: [DONE]\n\n";
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length:";
        write!(stream, "{head} {}\r\n\r\n{body}", body.len()).expect("an answer");
    }

    fn chain(
        listener: &TcpListener,
        abort: &watch::Sender<Option<String>>,
        gap_s: f64,
    ) -> Vec<Exchange> {
        let authority = listener.local_addr().expect("its address").to_string();
        let target = Target {
            scheme: Scheme::Http,
            end: StreamEnd::Done,
            authority,
            path: "/".into(),
            headers: BTreeMap::new(),
            limits: RequestLimits {
                first_token_s: Seconds(5.0),
                ..RequestLimits::default()
            },
            text_policy: TextPolicy::Discard,
            keeps_alive: Arc::new(AtomicBool::new(true)),
            abort: abort.subscribe(),
        };
        let (done, mut ended) = unbounded_channel();
        let chain = Arc::new(Chain {
            target,
            gap_s,
            seen: Mutex::default(),
            done,
        });
        let source: Arc<dyn RequestSource> = chain.clone();
        let shards = Shards::start(1).expect("a shard");
        shards.send(
            &source,
            vec![SendJob {
                index: 0,
                due: Stamp::now(),
                intended: None,
                unsent: None,
            }],
        );
        for _ in 0..3 {
            ended.blocking_recv().expect("an end");
        }
        drop(shards);
        std::mem::take(&mut *chain.seen.lock())
    }

    /// Answers one request on each connection, and closes it after this time.
    fn close_behind_answers(listener: &TcpListener, later: Duration) {
        let server = listener.try_clone().expect("the same port");
        std::thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.expect("a connection");
                answer(&mut stream);
                std::thread::sleep(later);
            }
        });
    }

    /// A server may close after an answer when the next request is being sent: it is sent again.
    /// After that no connection is used twice.
    #[test]
    fn a_connection_that_closes_after_its_answer_costs_no_request() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        // The next request is written meanwhile.
        close_behind_answers(&listener, Duration::from_millis(50));
        let (abort, _) = watch::channel(None);
        let seen = chain(&listener, &abort, 0.0);
        assert!(
            seen.iter().all(|exchange| exchange.failure.is_none()),
            "{seen:?}"
        );
        assert_eq!(
            seen.iter()
                .map(|exchange| exchange.resent)
                .collect::<Vec<_>>(),
            [false, true, false]
        );
        assert!(
            seen[1]
                .first_token
                .expect("a token")
                .at()
                .since_s(seen[1].sent.expect("sent"))
                > 0.01
        );
    }

    /// The next request has its connection already and waits until it is due.
    #[test]
    fn a_connection_that_closes_before_a_request_is_due_costs_no_request() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        close_behind_answers(&listener, Duration::from_millis(15));
        let (abort, _) = watch::channel(None);
        let seen = chain(&listener, &abort, 0.04);
        assert!(
            seen.iter().all(|exchange| exchange.failure.is_none()),
            "{seen:?}"
        );
    }

    #[test]
    fn a_connection_that_stays_open_is_used_again() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = listener.try_clone().expect("the same port");
        std::thread::spawn(move || {
            let (mut stream, _) = server.accept().expect("a connection");
            for _ in 0..3 {
                answer(&mut stream);
            }
        });
        let (abort, _) = watch::channel(None);
        let seen = chain(&listener, &abort, 0.0);
        assert!(
            seen.iter()
                .all(|exchange| exchange.failure.is_none() && !exchange.resent),
            "{seen:?}"
        );
    }
}
