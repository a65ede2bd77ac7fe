//! Threads that send requests at their planned moments and do nothing else.
//!
//! Each shard is a runtime of its own on a thread of its own: no work is stolen, no lock is
//! shared, and neither the script nor the terminal nor the writer of rows runs there.

use super::connection::{Connection, Pool};
use super::exchange::{self, Arrival, Ask, Exchange};
use super::failure::Failure;
use super::guard::Guards;
use super::pacer::Pacer;
use super::stalls::Stalls;
use super::target::Target;
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

/// One request that is to be sent.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which one it is, in the words of whoever planned it.
    pub index: usize,
    /// When to send it; at once where that is past.
    pub due: Stamp,
    /// The time at which its schedule wanted it sent, whatever it had to wait for; sending ignores it.
    pub intended: Option<Stamp>,
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

    /// The tokens that the answer to one may have; `None` if that is not known.
    fn max_tokens(&self, _: usize) -> Option<u64> {
        None
    }

    /// Told when one is handed to its connection. Whatever it does delays the request.
    fn sending(&self) {}

    /// Told when one that was handed over is answered, or will not be.
    fn answered(&self) {}

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
    /// The system's numbers of the threads.
    tids: Vec<i32>,
    /// Connections that were opened.
    opened: Arc<AtomicUsize>,
    next: AtomicUsize,
}

impl Shards {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the system gives no thread, runtime or timer.
    pub fn start(count: usize) -> std::io::Result<Self> {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..count).map(|_| unbounded_channel()).unzip();
        let peers: Vec<_> = senders.iter().map(UnboundedSender::downgrade).collect();
        let (threads, tids, opened, next) = Default::default();
        let mut shards = Self {
            senders,
            threads,
            tids,
            opened,
            next,
        };
        let (tell, told) = std::sync::mpsc::channel();
        for (number, batches) in receivers.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (peers, tell, opened) = (peers.clone(), tell.clone(), shards.opened.clone());
            let work = move || {
                let _ = tell.send(nix::unistd::gettid().as_raw()); // whoever starts the threads waits for it
                LocalSet::new().block_on(&runtime, serve(batches, peers, opened));
            };
            shards.threads.push(
                std::thread::Builder::new()
                    .name(format!("send-{number}"))
                    .spawn(work)?,
            );
        }
        shards.tids = told.iter().take(count).collect();
        Ok(shards)
    }

    /// The thread ids of the system.
    pub fn threads(&self) -> &[i32] {
        &self.tids
    }

    /// How many connections were opened so far.
    pub fn opened(&self) -> usize {
        self.opened.load(Relaxed)
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
    pub fn send(&self, plan: &Arc<dyn Plan>, jobs: Vec<Job>) {
        // Batches begin at different shards: engines that are asked at the same moment are asked
        // by different threads.
        deal(plan, jobs, self.next.fetch_add(1, Relaxed), &self.senders);
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

/// What the requests of one shard share.
#[derive(Clone)]
struct Shard {
    pacer: Pacer,
    pool: Rc<Pool>,
    guards: Guards,
    stalls: Stalls,
    /// All shards, this one among them.
    peers: Rc<[WeakUnboundedSender<Batch>]>,
}

async fn serve(
    mut batches: UnboundedReceiver<Batch>,
    peers: Vec<WeakUnboundedSender<Batch>>,
    opened: Arc<AtomicUsize>,
) {
    let pacer = Pacer::start().expect("a timerfd can be made wherever epoll can");
    let shard = Shard {
        stalls: Stalls::start(pacer.clone()),
        pacer,
        pool: Rc::new(Pool::new(opened)),
        guards: Guards::start(),
        peers: peers.into(),
    };
    while let Some(batch) = batches.recv().await {
        spawn_local(pace(batch, shard.clone()));
    }
}

/// Starts each job of a batch in time to be prepared when it is due.
async fn pace(batch: Batch, shard: Shard) {
    for job in batch.jobs {
        let mut abort = batch.plan.target().abort.clone();
        tokio::select! {
            () = shard.pacer.sleep_until(job.due.plus_s(-LEAD_S)) => {}
            _ = exchange::aborted(&mut abort) => {} // the job will say so itself
        }
        spawn_local(follow(job, batch.plan.clone(), shard.clone()));
    }
}

/// Sends one job and then what it sets free: one job on this thread, several on all.
async fn follow(job: Job, plan: Arc<dyn Plan>, shard: Shard) {
    let mut next = Some(job);
    while let Some(job) = next.take() {
        let mut exchange = run(&job, &*plan, &shard).await;
        exchange.ended = Some(exchange.done.map_or_else(Stamp::now, Arrival::at));
        let mut jobs = plan.ended(job, exchange);
        if jobs.len() > 1 {
            let senders: Vec<_> = shard
                .peers
                .iter()
                .filter_map(WeakUnboundedSender::upgrade)
                .collect();
            return deal(&plan, jobs, 0, &senders);
        }
        next = jobs.pop();
    }
}

/// Gives every shard its part of the jobs.
fn deal(plan: &Arc<dyn Plan>, mut jobs: Vec<Job>, first: usize, shards: &[UnboundedSender<Batch>]) {
    jobs.sort_by_key(|job| job.due);
    let mut parts = vec![Vec::new(); shards.len()];
    for (place, job) in jobs.into_iter().enumerate() {
        parts[(first + place) % shards.len()].push(job);
    }
    for (shard, jobs) in shards
        .iter()
        .zip(parts)
        .filter(|(_, jobs)| !jobs.is_empty())
    {
        // A shard ends only when all do.
        let _ = shard.send(Batch {
            plan: plan.clone(),
            jobs,
        });
    }
}

/// Prepares, waits, sends and reads one request.
async fn run(job: &Job, plan: &dyn Plan, shard: &Shard) -> Exchange {
    if let Some(reason) = &job.unsent {
        return failed(Failure::Unsent {
            reason: reason.clone(),
        });
    }
    let target = plan.target();
    let mut abort = target.abort.clone();
    let prepared = async {
        shard.pacer.sleep_until(job.due.plus_s(-LEAD_S)).await;
        let body = plan.body(job.index);
        let (connection, is_new) = shard.pool.take(target).await?;
        let connected_late = is_new && Stamp::now() > job.due;
        shard.pacer.sleep_until(job.due).await;
        Ok((body, connection, is_new, connected_late))
    };
    let prepared = tokio::select! {
        prepared = prepared => prepared,
        failure = exchange::aborted(&mut abort) => Err(failure),
    };
    let (body, connection, is_new, connected_late) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return failed(failure),
    };
    let (request_id, max_tokens) = (plan.request_id(job.index), plan.max_tokens(job.index));
    let ask = Ask {
        request_id,
        body,
        max_tokens,
    };
    plan.sending();
    let seen = send(target, &ask, connection, shard).await;
    let seen = if !is_new && seen.is_unanswered() {
        send_again(target, &ask, seen, shard).await
    } else {
        seen
    };
    plan.answered();
    Exchange {
        connected_late,
        ..seen
    }
}

async fn send(target: &Target, ask: &Ask, mut connection: Connection, shard: &Shard) -> Exchange {
    let guard = shard.guards.over(target);
    let (seen, reusable) = exchange::exchange(&mut connection, target, ask, &guard).await;
    if reusable {
        shard.pool.give_back(target, connection);
    }
    Exchange {
        stalled: shard.stalls.effect_on(&seen, Stamp::now()),
        ..seen
    }
}

/// The server closed an idle connection in the moment in which it was used again. Such a server
/// closes behind every answer: no connection to it is used twice from here on.
async fn send_again(target: &Target, ask: &Ask, first: Exchange, shard: &Shard) -> Exchange {
    target.keeps_alive.store(false, Relaxed);
    match shard.pool.connect(target).await {
        Ok(connection) => {
            let seen = send(target, ask, connection, shard).await;
            Exchange {
                sent: first.sent.or(seen.sent),
                resent: true,
                ..seen
            }
        }
        Err(_) => first, // the server is gone: that the connection broke says more
    }
}

fn failed(failure: Failure) -> Exchange {
    Exchange {
        failure: Some(failure),
        ..Exchange::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::Limits;
    use super::*;
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

    impl Plan for Chain {
        fn target(&self) -> &Target {
            &self.target
        }

        fn request_id(&self, index: usize) -> String {
            index.to_string()
        }

        fn body(&self, _: usize) -> Bytes {
            Bytes::from_static(b"{}")
        }

        fn ended(&self, job: Job, exchange: Exchange) -> Vec<Job> {
            self.seen.lock().push(exchange);
            let _ = self.done.send(());
            let next = Job {
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
        let body = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
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
            scheme: crate::driver::address::Scheme::Http,
            end: crate::driver::http::StreamEnd::Done,
            authority,
            path: "/".into(),
            headers: BTreeMap::new(),
            limits: Limits {
                first_token_s: 5.0,
                ..Limits::default()
            },
            keep_text: false,
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
        let plan: Arc<dyn Plan> = chain.clone();
        let shards = Shards::start(1).expect("a shard");
        shards.send(
            &plan,
            vec![Job {
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

    /// Answers each connection once, and closes it so much later.
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

    /// A server may close behind an answer when the next request is on its way already: it is
    /// sent again, and says so. After that no connection is used twice.
    #[test]
    fn a_connection_that_closes_behind_its_answer_costs_no_request() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        close_behind_answers(&listener, Duration::from_millis(50)); // the next request is written meanwhile
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

    /// The next request has its connection already and waits for its moment.
    #[test]
    fn a_connection_that_closes_before_a_request_is_due_costs_none() {
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
