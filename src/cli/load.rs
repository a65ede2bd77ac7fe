//! `lmrun load`: a load without a script, on the same path as a test's.

use super::args::{VerbosityFlags, seconds, seed};
use super::asked::Asked;
use super::{complain, exit, signals};
use crate::core::run::load;
use crate::core::run::single::SingleRequest;
use crate::core::selfcheck::Calibration;
use crate::core::workload::{
    Arrivals, Generator, Length, Random, RequestOptions, TextOptions, WorkloadConfig,
};
use crate::core::{Code, EngineSpec, Event, ExperimentResult, MAX_SEND_LAG_S, Server};
use crate::driver::address::Address;
use crate::driver::http::Shards;
use crate::driver::text::printable_message;
use crate::driver::{limits, probe};
use crate::report::{RequestLog, Watch, experiment_table, result_width};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
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
    /// Where the OpenAI API answers.
    #[arg(long)]
    url: String,
    /// The model [default: the first that the server names].
    #[arg(long)]
    model: Option<String>,
    /// Requests a second, whether or not earlier ones were answered.
    #[arg(
        long,
        required_unless_present = "concurrency",
        conflicts_with = "concurrency"
    )]
    rate: Option<f64>,
    /// How they are spaced.
    #[arg(long, value_enum, default_value_t = Arrival::Constant, conflicts_with = "concurrency")]
    arrival: Arrival,
    /// So many under way, the next when one has ended.
    #[arg(long)]
    concurrency: Option<usize>,
    /// How many requests.
    #[arg(long, default_value_t = 100)]
    requests: u64,
    /// Tokens that each generates.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..))]
    max_tokens: u64,
    /// About how many characters each prompt has.
    #[arg(long, default_value_t = 500)]
    prompt_chars: u64,
    /// How requests look, and how the server answers.
    #[command(flatten)]
    asked: Asked,
    /// One JSON object a request: its id, TTFT, gaps.
    #[arg(long, value_name = "FILE")]
    rows: Option<PathBuf>,
    /// The seed of prompts and arrivals.
    #[arg(long, default_value_t = 0, value_parser = seed)]
    seed: u64,
    /// How late requests may be sent before the numbers are invalid; a twentieth of the median TTFT
    /// is always allowed.
    #[arg(long, value_name = "S", default_value_t = MAX_SEND_LAG_S, value_parser = seconds)]
    max_send_lag_s: f64,
    /// What is shown.
    #[command(flatten)]
    shown: VerbosityFlags,
}

/// How requests are spaced.
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

/// Sends the load and shows what was seen.
pub fn run(args: &LoadArgs) -> u8 {
    limits::prepare_descriptors();
    let prepared = args
        .workload()
        .and_then(|workload| Ok((workload, args.address()?)));
    let (workload, address) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => return complain(&problem),
    };
    let log = match args.rows.as_ref().map(create).transpose() {
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
    let Ok(shown) = Builder::new()
        .name("report".into())
        .spawn(move || report(&received, watch))
    else {
        return complain("the system gives no thread for the report");
    };
    let warnings = events.clone();
    let tell = move |text: &str| drop(warnings.send(Event::Warned { text: text.into() }));
    runtime.spawn(signals::cancel_on_signal(
        cancel.clone(),
        "giving up what is under way",
        tell,
    ));
    let sending = Sending {
        workload,
        address,
        shards,
        log,
        events,
        cancel,
    };
    let code = runtime.block_on(sending.send(args));
    let _ = shown.join(); // a panic of the report was printed by its thread
    code
}

/// A load that is ready to be sent.
struct Sending {
    workload: WorkloadConfig,
    address: Address,
    shards: Shards,
    log: Option<RequestLog>,
    events: Sender<Event>,
    cancel: CancellationToken,
}

fn create(rows: &PathBuf) -> Result<RequestLog, String> {
    let unwritable = |e| {
        format!(
            "cannot write the rows to `{}`: {e}; choose another with `--rows FILE`",
            rows.display()
        )
    };
    RequestLog::create(rows).map_err(unwritable)
}

impl Sending {
    /// Sends it, prints the results, and returns the exit code.
    async fn send(mut self, args: &LoadArgs) -> u8 {
        let server = self.server(args);
        let code = match self.cancel.run_until_cancelled(server).await {
            None => Code::Interrupted.exit(),
            Some(Ok(server)) => self.measure(args, server).await,
            Some(Err(problem)) => {
                eprintln!("error: {}", printable_message(&problem));
                Code::Engine.exit()
            }
        };
        self.tell(Event::RunDone);
        code
    }

    /// Returns the server with the options that the flags give.
    async fn server(&self, args: &LoadArgs) -> Result<Arc<Server>, String> {
        let options = &self.workload.request;
        let model = model_of(args, &self.address, options).await?;
        let server = Arc::new(server(args, &model, self.address.clone()));
        if server.accepts_ignore_eos().is_some() {
            return Ok(server);
        }
        let question = SingleRequest {
            server: server.clone(),
            limits: args.asked.limits(),
            request_id: format!("{}-ignore-eos", run_id()),
            prompt: "Hello".into(),
            options: options.clone(),
        };
        let refusal = question.ignore_eos_refusal(&self.shards).await;
        server.set_accepts_ignore_eos(refusal.is_none());
        if let Some(message) = refusal {
            self.warn(format!(
                "the server refuses `ignore_eos`, so that its answers may be shorter than `--max-tokens`; \
                 `--no-ignore-eos` skips the question ({})",
                printable_message(&message)
            ));
        }
        Ok(server)
    }

    async fn measure(&mut self, args: &LoadArgs, server: Arc<Server>) -> u8 {
        let config = &self.workload;
        let load = load::Load {
            config,
            server,
            limits: args.asked.limits(),
            run_id: run_id(),
            max_send_lag_s: args.max_send_lag_s,
        };
        let mut unwritten = None;
        let (log, events, cancel) = (&mut self.log, &self.events, &self.cancel);
        let seen = load::run(load, &self.shards, cancel, |told| {
            let event = match told {
                load::Told::Began(live) => Event::ExperimentStarted(Arc::new(live)),
                load::Told::Ended(row, seen) => {
                    // A file with missing rows must not look complete.
                    let log = log.as_mut().filter(|_| unwritten.is_none());
                    if let Some(Err(e)) = log.map(|log| log.write(&row, &seen.chunks)) {
                        unwritten = Some(e);
                        cancel.cancel();
                    }
                    Event::RequestDone(row)
                }
                load::Told::Warned(text) => Event::Warned { text },
            };
            let _ = events.send(event); // a report that is gone shows nothing
        })
        .await;
        let code = self.judge(&seen);
        match unwritten {
            Some(e) => {
                self.warn(format!(
                    "the rows could not be written: {e}; earlier rows are kept"
                ));
                Code::Invalid.exit()
            }
            None if self.cancel.is_cancelled() => Code::Interrupted.exit(),
            None => code,
        }
    }

    /// Prints the results, and returns what they mean for the exit code.
    fn judge(&self, seen: &ExperimentResult) -> u8 {
        self.tell(Event::Printed {
            text: format!("{}\n{}", seen.title, experiment_table(seen, result_width())),
        });
        for reason in seen.validity.texts() {
            self.warn(format!("invalid: {reason}"));
        }
        let known = Calibration::read().filter(|_| seen.validity.is_valid());
        if let Some(text) = known.and_then(|known| known.warning(&seen.client)) {
            self.warn(text);
        }
        let mut code = if seen.validity.is_valid() {
            exit::OK
        } else {
            Code::Invalid.exit()
        };
        for (failure, times) in seen.engines.iter().flat_map(|engine| engine.failures()) {
            self.warn(format!("{times} × {failure}"));
            code = code.max(Code::Check.exit());
        }
        code
    }

    fn warn(&self, text: String) {
        self.tell(Event::Warned { text });
    }

    fn tell(&self, event: Event) {
        let _ = self.events.send(event); // a report that is gone shows nothing
    }
}

/// Shows what happens until the load is done.
fn report(events: &Receiver<Event>, mut watch: Watch) {
    while let Some(event) = watch.next(events) {
        match event {
            Event::RequestDone(row) => watch.request(&row),
            Event::Printed { text } => watch.screen.result(&text),
            Event::Warned { text } => watch.screen.warn(&text),
            _ => {}
        }
    }
}

fn run_id() -> String {
    format!("lmrun-{}", std::process::id())
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

async fn model_of(
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
