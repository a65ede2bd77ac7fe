//! `lmrun load`: a load without a script, on the same path as a test's.

use super::args::{VerbosityFlags, seconds, seed};
use super::asked::Asked;
use super::{complain, exit, signals};
use crate::core::run::single::SingleRequest;
use crate::core::selfcheck::Calibration;
use crate::core::workload::{
    Arrivals, Generator, Length, Random, RequestOptions, TextOptions, WorkloadConfig,
};
use crate::core::{
    Client, Code, EngineResult, EngineSpec, Event, ExperimentResult, Interrupts, MAX_SEND_LAG_S,
    Measurement, Row, RunOptions, Server, TestRun,
};
use crate::driver::address::Address;
use crate::driver::http::{Exchange, RequestLimits, Shards};
use crate::driver::text::printable_message;
use crate::driver::{limits, probe};
use crate::report::{RequestLog, Watch, experiment_table, result_width};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::Builder;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EXAMPLES: &str = "\
Examples:
  lmrun load --url http://127.0.0.1:8000 --rate 4 --requests 100
  lmrun load --url http://127.0.0.1:8000 --concurrency 16 --requests 200 --rows rows.jsonl";

/// A load without a script.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LoadArgs {
    /// URL of the OpenAI API
    #[arg(long)]
    url: String,
    /// The model [default: the first that the server names].
    #[arg(long)]
    model: Option<String>,
    /// Requests per second, independent of earlier responses.
    #[arg(
        long,
        required_unless_present = "concurrency",
        conflicts_with = "concurrency"
    )]
    rate: Option<f64>,
    /// Spacing of the requests
    #[arg(long, value_enum, default_value_t = Arrival::Constant, conflicts_with = "concurrency")]
    arrival: Arrival,
    /// Maximum number of requests in flight: the next is sent when one completes.
    #[arg(long)]
    concurrency: Option<usize>,
    /// Number of requests
    #[arg(long, default_value_t = 100)]
    requests: u64,
    /// Maximum number of tokens to generate per request.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..))]
    max_tokens: u64,
    /// Approximate number of characters of each prompt.
    #[arg(long, default_value_t = 500)]
    prompt_chars: u64,
    /// The form of the requests and the protocol of the server.
    #[command(flatten)]
    asked: Asked,
    /// File for one JSON object per request: its id, TTFT and gaps.
    #[arg(long, value_name = "FILE")]
    rows: Option<PathBuf>,
    /// The seed of prompts and arrivals.
    #[arg(long, default_value_t = 0, value_parser = seed)]
    seed: u64,
    /// Maximum delay of sending a request, in seconds, before the numbers are invalid; a twentieth
    /// of
    /// the median TTFT is always allowed
    #[arg(long, value_name = "S", default_value_t = MAX_SEND_LAG_S, value_parser = seconds)]
    max_send_lag_s: f64,
    /// The amount of output.
    #[command(flatten)]
    shown: VerbosityFlags,
}

/// The spacing of requests.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Arrival {
    /// The same gap between all.
    Constant,
    /// Independent of each other.
    Poisson,
}

/// Words of a prompt are this long in the mean, with the space before them.
const CHARS_A_TOKEN: u64 = 5;

impl LoadArgs {
    fn workload(&self) -> Result<WorkloadConfig, String> {
        let tokens = (self.prompt_chars / CHARS_A_TOKEN).max(1);
        let random = Random {
            input_len: Length::Fixed(tokens),
            output_len: Some(Length::Fixed(self.max_tokens)),
            ..Random::default()
        };
        let arrivals = Arrivals {
            requests: Some(self.requests),
            qps: self.rate,
            concurrency: self.concurrency,
            arrivals: self.arrival.into(),
            ..Arrivals::default()
        };
        let text = TextOptions {
            seed: Some(self.seed),
            tokenizer: None,
        };
        let random = Generator::Random(random);
        let workload = WorkloadConfig::new(random, arrivals, text, self.asked.options());
        workload.map_err(|e| format!("`{}` {}", flag(e.option), e.problem))
    }

    fn address(&self) -> Result<Address, String> {
        Address::try_from(self.url.clone()).map_err(|e| format!("`--url`: {e}"))
    }
}

/// The flag that sets an option of the workload.
fn flag(option: &'static str) -> &'static str {
    match option {
        "qps" => "--rate",
        "concurrency" => "--concurrency",
        "requests" => "--requests",
        "input_len" => "--prompt-chars",
        "output_len" | "max_tokens" => "--max-tokens",
        "api_key_env" => "--api-key-env",
        "headers" => "--header",
        other => other,
    }
}

impl From<Arrival> for crate::core::workload::Spacing {
    fn from(arrival: Arrival) -> Self {
        match arrival {
            Arrival::Constant => Self::Constant,
            Arrival::Poisson => Self::Poisson,
        }
    }
}

/// Sends the load and shows the results. Returns the exit code.
pub fn run(args: &LoadArgs) -> u8 {
    limits::prepare_descriptors();
    let prepared = args
        .workload()
        .and_then(|workload| Ok((workload, args.address()?)));
    let (workload, address) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => return complain(&problem),
    };
    let log = match args.rows.as_ref().map(create_log).transpose() {
        Ok(log) => log,
        Err(problem) => return complain(&problem),
    };
    let cancel = CancellationToken::new();
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(problem) => return complain(problem),
    };
    let screen = Watch::new(args.shown.verbosity(), cancel.clone());
    let (Ok(watch), Ok(shards)) = (screen, Shards::for_this_machine()) else {
        return complain("the system gives no threads to send from");
    };
    let (events, received) = channel();
    let reporter = LoadReporter {
        watch,
        log,
        cancel: cancel.clone(),
        broken: None,
    };
    let Ok(reporting) = Builder::new()
        .name("report".into())
        .spawn(move || reporter.run(&received))
    else {
        return complain("the system gives no thread for the report");
    };
    let warnings = events.clone();
    let tell = move |text: &str| drop(warnings.send(Event::Warned { text: text.into() }));
    let doing = "aborting the requests in flight";
    runtime.spawn(signals::cancel_on_signal(cancel.clone(), doing, tell));
    let load = Load {
        workload,
        address,
        client: Client {
            calibration: Calibration::read(),
            max_send_lag_s: args.max_send_lag_s,
            ..Client::new(shards, events, Interrupts::new(cancel))
        },
    };
    let code = runtime.block_on(load.run(args));
    match reporting.join() {
        Ok(Some(code)) => code.exit(),
        Ok(None) | Err(_) => code, // a panic was printed by its thread
    }
}

fn create_log(rows: &PathBuf) -> Result<RequestLog, String> {
    RequestLog::create(rows).map_err(|e| {
        format!(
            "cannot write the rows to `{}`: {e}; choose another file with `--rows FILE`",
            rows.display()
        )
    })
}

/// A load that is ready to be sent.
struct Load {
    workload: WorkloadConfig,
    address: Address,
    client: Client,
}

impl Load {
    /// Sends the load and returns the exit code.
    async fn run(&self, args: &LoadArgs) -> u8 {
        let cancel = self.client.interrupts.current();
        let code = match cancel.run_until_cancelled(self.server(args)).await {
            None => Some(Code::Interrupted),
            Some(Ok(server)) => self.measure(args.asked.limits(), server).await,
            Some(Err(problem)) => {
                eprintln!("error: {}", printable_message(&problem));
                Some(Code::Engine)
            }
        };
        self.client.emit(Event::RunDone);
        code.map_or(exit::OK, Code::exit)
    }

    /// Returns the server with the options that the flags give.
    async fn server(&self, args: &LoadArgs) -> Result<Arc<Server>, String> {
        let options = &self.workload.request;
        let model = find_model(args, &self.address, options).await?;
        let server = Arc::new(server(args, &model, self.address.clone()));
        if server.accepts_ignore_eos().is_some() {
            return Ok(server);
        }
        let question = SingleRequest {
            server: server.clone(),
            limits: args.asked.limits(),
            request_id: format!("{}-ignore-eos", self.client.run_id),
            prompt: "Hello".into(),
            options: options.clone(),
        };
        let client = &self.client;
        let refusal = question.ignore_eos_refusal(&client.shards).await;
        server.set_accepts_ignore_eos(refusal.is_none());
        if let Some(message) = refusal {
            client.warn(format!(
                "the server refuses `ignore_eos`, so that its answers may be shorter than \
                 `--max-tokens`; `--no-ignore-eos` skips the question ({})",
                printable_message(&message)
            ));
        }
        Ok(server)
    }

    /// Runs the load as a test with one experiment. Returns the failure, if there is one.
    async fn measure(&self, limits: RequestLimits, server: Arc<Server>) -> Option<Code> {
        let mut test = TestRun::default();
        let measurement = Measurement {
            expr_id: test.add_experiment(),
            config: &self.workload,
            lexicon: self.workload.lexicon.clone(),
            servers: vec![server],
            options: RunOptions {
                limits,
                ..RunOptions::default()
            },
            memory: None,
        };
        let result = match self.client.measure(&mut test, measurement).await {
            Ok(result) => result,
            Err(error) => {
                eprintln!("error: {error}");
                return Some(Code::Invalid);
            }
        };
        if result.validity.is_valid() {
            self.client.warn_if_overloaded(&result);
        }
        self.client.check_answers(&mut test, &result);
        if self.client.interrupts.current().is_cancelled() {
            return Some(Code::Interrupted);
        }
        test.outcome().code()
    }
}

/// The consumer of the events of a load: shows them, and writes the rows.
struct LoadReporter {
    watch: Watch,
    log: Option<RequestLog>,
    cancel: CancellationToken,
    /// The error with which writing the rows failed.
    broken: Option<std::io::Error>,
}

impl LoadReporter {
    /// Handles all events. Returns a failure if the rows could not be written.
    fn run(mut self, events: &Receiver<Event>) -> Option<Code> {
        while let Some(event) = self.watch.next(events) {
            match event {
                Event::RequestDone { row, exchange } => {
                    self.write(&row, &exchange);
                    self.watch.request(&row);
                }
                Event::ExperimentDone(result) => self.show(&result),
                Event::Warned { text } => self.watch.screen.warn(&text),
                _ => {}
            }
        }
        let error = self.broken?;
        let text = format!("the rows could not be written: {error}; earlier rows are kept");
        self.watch.screen.warn(&text);
        Some(Code::Invalid)
    }

    /// Writes a row. Stops after the first failure: a file with missing rows must not look
    /// complete.
    fn write(&mut self, row: &Row, exchange: &Exchange) {
        let Some(log) = self.log.as_mut().filter(|_| self.broken.is_none()) else {
            return;
        };
        if let Err(error) = log.write(row, &exchange.chunks) {
            self.broken = Some(error);
            self.cancel.cancel();
        }
    }

    fn show(&self, result: &ExperimentResult) {
        let screen = &self.watch.screen;
        let table = experiment_table(result, result_width());
        screen.result(&format!("{}\n{table}", result.title));
        for (failure, times) in result.engines.iter().flat_map(EngineResult::failures) {
            screen.warn(&format!("{times} × {failure}"));
        }
    }
}

fn server(args: &LoadArgs, model: &str, address: Address) -> Server {
    let spec = json!({
        "name": address.authority(),
        "kind": "openai",
        "model": model,
        "url": String::from(address.clone()),
        "stream_end": args.asked.stream_end(),
        "ignore_eos": args.asked.ignore_eos(),
    });
    let spec: EngineSpec = serde_json::from_value(spec).expect("all required fields are given");
    Server::new(Arc::new(spec), address)
}

/// Returns the model of the command line, or the first that the server lists.
async fn find_model(
    args: &LoadArgs,
    address: &Address,
    options: &RequestOptions,
) -> Result<String, String> {
    if let Some(model) = &args.model {
        return Ok(model.clone());
    }
    let headers = options.all_headers();
    let models = probe::models_with(&address.base(), &headers, Duration::from_secs(10)).await;
    let models = models.map_err(|e| {
        format!(
            "{e}; `--url` is what stands before `/v1`; `--model` does without asking for models"
        )
    })?;
    let first = models.into_iter().next().map(|model| model.id);
    first.ok_or_else(|| "the server names no model: give it with `--model`".into())
}
