//! The client: sends workloads to servers that are ready, and measures their answers.

use crate::core::result::client_health::Effort;
use crate::core::result::same_work;
use crate::core::run::event::ExperimentStart;
use crate::core::run::limits::too_many_at_once;
use crate::core::run::memory::{self, MemoryWatch};
use crate::core::run::send::{self, Completed, EngineRun, INTERRUPTED, SharedWorkload};
use crate::core::selfcheck::Calibration;
use crate::core::workload::{Lexicon, WorkloadConfig};
use crate::core::{
    EngineResult, Event, ExperimentResult, Interrupts, MAX_SEND_LAG_S, Reason, ReasonCode, Row,
    RunError, RunOptions, Server, TestRun,
};
use crate::driver::http::Shards;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// The interval at which progress is reported.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// The part of lmrun that sends requests: of tests, of `lmrun load` and of `lmrun selfcheck`.
pub(crate) struct Client {
    /// The sending threads.
    pub(crate) shards: Shards,
    /// The queue to the reporter.
    pub(crate) events: Sender<Event>,
    /// The tokens that end waits.
    pub(crate) interrupts: Interrupts,
    /// The start of every `x-request-id` of this run.
    pub(crate) run_id: String,
    /// The delay with which requests may be sent, seconds, unless an experiment sets its own.
    pub(crate) max_send_lag_s: f64,
    /// The load that this machine is known to sustain, if it was measured.
    pub(crate) calibration: Option<Calibration>,
    /// The number of experiments of this run so far.
    pub(crate) experiments: AtomicUsize,
}

/// A workload for servers that are ready.
pub(crate) struct Measurement<'a> {
    /// The number of the experiment in its test.
    pub(crate) expr_id: usize,
    /// The workload.
    pub(crate) config: &'a WorkloadConfig,
    /// The words of its texts.
    pub(crate) lexicon: Arc<Lexicon>,
    /// The servers that it is sent to, all at the same time.
    pub(crate) servers: Vec<Arc<Server>>,
    /// The options of the experiment.
    pub(crate) options: RunOptions,
    /// The readings of GPU memory; `None` if the GPUs of the servers are unknown.
    pub(crate) memory: Option<&'a MemoryWatch>,
}

/// A workload whose requests were handed to the sending threads.
pub(crate) struct SentWorkload<'a> {
    runs: Vec<EngineRun>,
    completed: UnboundedReceiver<Completed>,
    effort: Effort<'a>,
}

impl Client {
    /// Creates a client with a default run id and the default limit of the send lag.
    pub(crate) fn new(shards: Shards, events: Sender<Event>, interrupts: Interrupts) -> Self {
        Self {
            shards,
            events,
            interrupts,
            run_id: format!("lmrun-{}", std::process::id()),
            max_send_lag_s: MAX_SEND_LAG_S,
            calibration: None,
            experiments: AtomicUsize::default(),
        }
    }

    /// Sends an event.
    pub(crate) fn emit(&self, event: Event) {
        let _ = self.events.send(event); // without a reporter, nothing is shown
    }

    /// Sends a warning.
    pub(crate) fn warn(&self, text: String) {
        self.emit(Event::Warned { text });
    }

    /// Adds a check to `test` and reports it.
    pub(crate) fn check(&self, test: &mut TestRun, passed: bool, what: String) {
        test.add_check(passed);
        self.emit(Event::Checked { passed, what });
    }

    /// Sends a workload and returns its result, as [`Client::send`] and [`Client::collect`] do.
    ///
    /// # Errors
    /// Fails as [`Client::send`] does.
    pub(crate) async fn measure(
        &self,
        test: &mut TestRun,
        measurement: Measurement<'_>,
    ) -> Result<ExperimentResult, RunError> {
        let sent = self.send(&measurement)?;
        Ok(self.collect(test, measurement, sent).await)
    }

    /// Hands the requests of a workload to the sending threads.
    ///
    /// # Errors
    /// Fails if the system does not allow enough open connections.
    pub(crate) fn send(&self, measurement: &Measurement<'_>) -> Result<SentWorkload<'_>, RunError> {
        let mut runs = self.engine_runs(measurement);
        if let Some(problem) = too_many_at_once(&runs) {
            return Err(RunError::TooMany(problem));
        }
        let effort = Effort::since_now(&self.shards);
        let completed = send::send(&mut runs, &self.shards);
        let title = measurement.config.title();
        let start = ExperimentStart::new(&title, &runs);
        self.emit(Event::ExperimentStarted(start));
        Ok(SentWorkload {
            runs,
            completed,
            effort,
        })
    }

    /// Collects the rows of a workload and adds the result to `test`. After an interrupt, requests
    /// in flight are aborted and the result is incomplete.
    pub(crate) async fn collect(
        &self,
        test: &mut TestRun,
        measurement: Measurement<'_>,
        sent: SentWorkload<'_>,
    ) -> ExperimentResult {
        let SentWorkload {
            mut runs,
            completed,
            effort,
        } = sent;
        let title = measurement.config.title();
        let rows = self
            .collect_rows(&mut runs, completed, measurement.memory)
            .await;
        let usage = effort.spent();

        let mut warnings = Vec::new();
        let mut engines = Vec::new();
        for (run, rows) in runs.iter().zip(rows) {
            warnings.extend(run.impossible_count(&rows));
            let context = &run.context;
            engines.push(EngineResult::new(
                context.engine.clone(),
                context.simulated,
                rows,
            ));
        }
        let options = measurement.options;
        let max_send_lag_s = options
            .max_send_lag_s
            .map_or(self.max_send_lag_s, |seconds| seconds.0);
        let mut result =
            ExperimentResult::new(measurement.expr_id, title, engines, &usage, max_send_lag_s);
        match same_work::difference(&result.engines) {
            Some(found) if found.share > options.max_output_difference => {
                result.add_reason(Reason::new(ReasonCode::UnequalWork, found.text));
            }
            Some(found) => warnings.push(found.text),
            None => {}
        }
        test.add_result(&result);
        self.emit(Event::ExperimentDone(Box::new(result.clone())));
        warnings.extend(
            result
                .validity
                .texts()
                .map(|reason| format!("invalid: {reason}")),
        );
        for text in warnings {
            self.warn(text);
        }
        result
    }

    fn engine_runs(&self, measurement: &Measurement<'_>) -> Vec<EngineRun> {
        let number = self.experiments.fetch_add(1, Relaxed);
        let workload = SharedWorkload {
            expr_id: measurement.expr_id,
            config: measurement.config,
            requests: Arc::new(measurement.config.generate(&measurement.lexicon)),
            lexicon: measurement.lexicon.clone(),
            limits: measurement.options.limits,
            id_prefix: format!("{}-{number}", self.run_id),
        };
        let servers = measurement.servers.iter().enumerate();
        servers
            .map(|(engine_id, server)| EngineRun::new(&workload, engine_id, server.clone()))
            .collect()
    }

    /// Makes a row of each completed request, and reports progress meanwhile.
    async fn collect_rows(
        &self,
        runs: &mut [EngineRun],
        mut requests: UnboundedReceiver<Completed>,
        memory: Option<&MemoryWatch>,
    ) -> Vec<Vec<Row>> {
        let mut rows: Vec<Vec<Row>> = runs.iter().map(|_| Vec::new()).collect();
        let mut interval = tokio::time::interval(PROGRESS_EVERY);
        let cancel = self.interrupts.current();
        let mut is_aborted = false;
        loop {
            tokio::select! {
                completed = requests.recv() => {
                    let Some(completed) = completed else {
                        return rows;
                    };
                    let engine_id = completed.engine_id;
                    let gpu_memory = memory
                        .map_or_else(|| memory::NONE.into(), |memory| memory.latest_json(engine_id));
                    let row = runs[engine_id].row(&completed.job, &gpu_memory, &completed.exchange);
                    rows[engine_id].push(row.clone());
                    self.emit(Event::RequestDone {
                        row: Box::new(row),
                        exchange: Box::new(completed.exchange),
                    });
                }
                _ = interval.tick() => {
                    let progress = runs.iter().map(|run| run.progress(memory)).collect();
                    self.emit(Event::ExperimentProgress(progress));
                }
                () = cancel.cancelled(), if !is_aborted => {
                    is_aborted = true;
                    for run in &*runs {
                        run.server.abort_requests(INTERRUPTED);
                    }
                }
            }
        }
    }

    /// Adds a failed check to `test` for each engine that failed requests.
    pub(crate) fn check_answers(&self, test: &mut TestRun, result: &ExperimentResult) {
        for engine in result.engines.iter().filter(|engine| engine.failed() > 0) {
            let failures = engine.failures();
            let most_frequent = failures.iter().max_by_key(|(_, times)| **times);
            let error = most_frequent.map_or("", |(error, _)| *error);
            let failed = engine.failed();
            let all = engine.rows.len();
            let what = format!(
                "`{}` answers every request: {failed} of {all} failed: {error}",
                engine.name
            );
            self.check(test, false, what);
        }
    }

    /// Warns if the client sent more than this machine is known to sustain.
    pub(crate) fn warn_if_overloaded(&self, result: &ExperimentResult) {
        let calibration = self.calibration.as_ref();
        if let Some(text) = calibration.and_then(|known| known.warning(&result.client)) {
            self.warn(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::EngineSpec;
    use crate::core::workload::{Arrivals, Generator, Length, Random, RequestOptions, TextOptions};
    use crate::driver::clock::Stamp;
    use crate::driver::http::{Exchange, RequestLimits, RequestSource, SendJob, Target};
    use bytes::Bytes;
    use parking_lot::Mutex;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, channel};
    use tokio_util::sync::CancellationToken;

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
        let interrupts = Interrupts::new(CancellationToken::new());
        let client = Client::new(shards, channel().0, interrupts);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        std::thread::scope(|scope| {
            scope.spawn(|| serve(&listener, &client.shards, &server));
            let config = config();
            let measurement = Measurement {
                expr_id: 0,
                config: &config,
                lexicon: config.lexicon.clone(),
                servers: vec![server.clone()],
                options: RunOptions::default(),
                memory: None,
            };
            let mut test = TestRun::default();
            let measured = client.measure(&mut test, measurement);
            runtime.block_on(measured).expect("a result")
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
