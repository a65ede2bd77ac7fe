//! A workload to a server that answers already, without a test around it.

use crate::core::result::client_health::Effort;
use crate::core::run::memory;
use crate::core::run::send::{self, Completions, EngineRun, RunIds, SharedLoad};
use crate::core::workload::WorkloadConfig;
use crate::core::{EngineResult, ExperimentResult, Live, Row, Server};
use crate::driver::http::{Exchange, RequestLimits, Shards};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A load to one server.
pub(crate) struct Load<'a> {
    /// The workload.
    pub config: &'a WorkloadConfig,
    /// The server that it is sent to.
    pub server: Arc<Server>,
    /// The time limits of a request.
    pub limits: RequestLimits,
    /// The start of every `x-request-id`.
    pub run_id: String,
    /// The delay with which requests may be sent before the numbers are invalid, seconds.
    pub max_send_lag_s: f64,
}

/// What happens to a load.
pub(crate) enum Told<'a> {
    /// Its requests are sent from now on.
    Began(Live),
    /// A request has ended: its row, and the moments in which it came.
    Ended(Box<Row>, &'a Exchange),
    /// Something that the reader of the results must know.
    Warned(String),
}

/// Sends `load` from `shards`, and tells what happens.
pub(crate) async fn run(
    load: Load<'_>,
    shards: &Shards,
    cancel: &CancellationToken,
    mut tell: impl FnMut(Told<'_>),
) -> ExperimentResult {
    let Load {
        config,
        server,
        limits,
        run_id,
        max_send_lag_s,
    } = load;
    let shared = SharedLoad {
        config,
        requests: Arc::new(config.generate(&config.lexicon)),
        lexicon: config.lexicon.clone(),
        limits,
    };
    let ids = RunIds {
        expr_id: 0,
        engine_id: 0,
        id_prefix: run_id,
    };
    let mut lanes = [EngineRun::new(ids, server.clone(), &shared)];
    let effort = Effort::since_now(shards);
    let requests = send::send(&mut lanes, shards);
    tell(Told::Began(live(config.title(), &lanes[0])));
    let mut ends = Completions::of(requests, cancel, |reason| server.abort_requests(reason));
    let mut rows = Vec::with_capacity(lanes[0].requests.len());
    while let Some(request) = ends.next().await {
        let row = lanes[0].row(&request.job, &memory::NONE.into(), &request.exchange);
        tell(Told::Ended(Box::new(row.clone()), &request.exchange));
        rows.push(row);
    }
    let spent = effort.spent();
    if let Some(text) = lanes[0].impossible_count(&rows) {
        tell(Told::Warned(text));
    }
    let engines = vec![EngineResult::new(
        server.spec.name.as_str().into(),
        server.spec.simulated,
        rows,
    )];
    ExperimentResult::new(0, config.title(), engines, &spent, max_send_lag_s)
}

/// Nobody has said which GPUs the server uses.
fn live(title: String, lane: &EngineRun) -> Live {
    Live {
        title,
        start: lane.context.start,
        planned_s: lane.planned_s(),
        lanes: vec![lane.live(Vec::new())],
        memory: Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::workload::{
        Arrivals, Generator, Length, Random, RequestOptions, TextOptions, WorkloadConfig,
    };
    use crate::core::{EngineSpec, ReasonCode};
    use crate::driver::clock::Stamp;
    use crate::driver::http::{RequestSource, SendJob, Target};
    use bytes::Bytes;
    use parking_lot::Mutex;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    /// Keeps a sending thread until it is told to let go.
    struct Blocker {
        target: Target,
        blocks: Sender<()>,
        lets_go: Mutex<Receiver<()>>,
    }

    impl RequestSource for Blocker {
        fn target(&self) -> &Target {
            &self.target
        }

        fn request_id(&self, _: usize) -> String {
            String::new()
        }

        fn body(&self, _: usize) -> Bytes {
            Bytes::new()
        }

        /// Its one job is never sent, and so ends at once, on the sending thread.
        fn completed(&self, _: SendJob, _: Exchange) -> Vec<SendJob> {
            let _ = self.blocks.send(());
            let _ = self.lets_go.lock().recv();
            Vec::new()
        }
    }

    fn server(listener: &TcpListener) -> Server {
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let spec = serde_json::json!({ "name": "e", "kind": "k", "model": "m", "url": url });
        let spec: EngineSpec = serde_json::from_value(spec).expect("a spec");
        let address = spec.address(0);
        Server::new(Arc::new(spec), address)
    }

    /// One request.
    fn config() -> WorkloadConfig {
        let random = Random {
            input_len: Length::Fixed(3),
            output_len: Some(Length::Fixed(MESSAGES as u64)),
            ..Random::default()
        };
        let arrivals = Arrivals {
            requests: Some(1),
            qps: Some(1.0),
            ..Arrivals::default()
        };
        let (text, request) = (TextOptions::default(), RequestOptions::default());
        WorkloadConfig::new(Generator::Random(random), arrivals, text, request).expect("a workload")
    }

    const MESSAGES: usize = 10;
    const GAP: Duration = Duration::from_millis(10);

    /// Reads a request, and answers with messages at fixed gaps. `before` and `behind` are called around them.
    fn serve(listener: &TcpListener, before: impl FnOnce(), behind: impl FnOnce()) {
        let (mut stream, _) = listener.accept().expect("a connection");
        read_request(&mut stream);
        before();
        let mut say = |text: &str| stream.write_all(text.as_bytes()).expect("written");
        say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n");
        for _ in 0..MESSAGES {
            say("data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n");
            std::thread::sleep(GAP);
        }
        behind();
        // What joins the segments that are not read yet would move their stamp once more.
        std::thread::sleep(GAP * 5);
        say(&format!(
            "data: {{\"choices\":[],\"usage\":{{\"completion_tokens\":{MESSAGES}}}}}\n\n"
        ));
        say("data: [DONE]\n\n");
    }

    fn read_request(stream: &mut TcpStream) {
        let mut read = Vec::new();
        while !read.ends_with(b"}") {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).expect("a request");
            read.extend_from_slice(&piece[..length]);
        }
    }

    fn run_with(serve: impl FnOnce(&TcpListener, &Shards, &Server) + Send) -> ExperimentResult {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Arc::new(server(&listener));
        let shards = Shards::start(1).expect("a thread");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        std::thread::scope(|scope| {
            scope.spawn(|| serve(&listener, &shards, &server));
            let (config, cancel) = (config(), CancellationToken::new());
            let load = Load {
                config: &config,
                server: server.clone(),
                limits: RequestLimits::default(),
                run_id: "r".into(),
                max_send_lag_s: 0.005,
            };
            let work = run(load, &shards, &cancel, |_| {});
            runtime.block_on(work)
        })
    }

    #[test]
    fn a_stall_of_the_client_is_not_blamed_on_the_engine() {
        let seen = run_with(|listener, shards, server| {
            let (blocks, begin) = channel();
            let (end, lets_go) = channel();
            let target = server.target(&RequestOptions::default(), RequestLimits::default());
            let blocker: Arc<dyn RequestSource> = Arc::new(Blocker {
                target,
                blocks,
                lets_go: Mutex::new(lets_go),
            });
            let job = SendJob {
                index: 0,
                due: Stamp::now(),
                intended: None,
                unsent: Some(String::new()),
            };
            let before = || {
                shards.send(&blocker, vec![job]);
                begin.recv().expect("it blocks");
            };
            serve(listener, before, || end.send(()).expect("it listens"));
        });
        let row = &seen.engines[0].rows[0];
        assert_eq!(row.error, None);
        assert!(row.stall_s >= Some(0.09), "{row:?}");
        assert_eq!(
            (row.chunks, row.chunks_joined, row.chunks_stalled),
            (MESSAGES, MESSAGES - 1, MESSAGES - 1)
        );
        assert!(row.ttft_late_s >= Some(0.08), "{row:?}");
        assert_eq!(
            (row.itl_mean_s, row.itl_max_s),
            (None, None),
            "no gap is known"
        );
        assert!(
            seen.validity
                .reasons
                .iter()
                .any(|reason| reason.code == ReasonCode::Joined),
            "{seen:?}"
        );
        assert_eq!(seen.client.first_tokens_late, 1);
    }

    #[test]
    fn an_answer_without_end_fails_and_does_not_grow() {
        let seen = run_with(|listener, _, _| {
            let (mut stream, _) = listener.accept().expect("a connection");
            read_request(&mut stream);
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            let chunk =
                "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
            let mut written = stream.write_all(head.as_bytes());
            while written.is_ok() {
                written = stream.write_all(chunk.as_bytes()); // until lmrun closes the connection
            }
        });
        let row = &seen.engines[0].rows[0];
        let error = row.error.as_deref().expect("a failure");
        assert!(
            error.ends_with("chunks, far more than the requested tokens"),
            "{error}"
        );
        assert!(row.chunks < 3_000, "{}", row.chunks);
    }

    #[test]
    fn a_client_that_runs_knows_every_gap() {
        let seen = run_with(|listener, _, _| serve(listener, || {}, || {}));
        let row = &seen.engines[0].rows[0];
        assert_eq!((row.error.as_deref(), row.chunks), (None, MESSAGES));
        // A machine that does other things too may stall it for as long as a gap.
        assert_eq!(row.chunks_joined, row.chunks_stalled);
        assert!(row.itl_p50_s >= Some(0.009), "{row:?}");
    }
}
