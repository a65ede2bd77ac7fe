//! `lmrun load`: a load without a script, on the same path as a test's.

use super::args::{Shown, seconds};
use super::asked::Asked;
use super::{complain, exit, signals};
use crate::bench::selfcheck::Known;
use crate::bench::single::refusal_of_ignore_eos;
use crate::bench::workload::{
    Arrivals, Generator, Length, Random, RequestOptions, TextOptions, WorkloadConfig,
};
use crate::bench::{CHAT_PATH, COMPLETIONS_PATH, Code, Event, MAX_SEND_LAG_S, Seen, Server, load};
use crate::driver::address::Address;
use crate::driver::http::Shards;
use crate::driver::text::shown;
use crate::driver::{limits, probe};
use crate::report::{RequestLog, Verbosity, Watch, experiment_table, result_width};
use clap::{Args, ValueEnum};
use serde_json::Map;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tokio::sync::watch;
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
    #[arg(long, required_unless_present = "concurrency", conflicts_with = "concurrency")]
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
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How late requests may be sent before the numbers are invalid; a twentieth of the median TTFT
    /// is always allowed.
    #[arg(long, value_name = "S", default_value_t = MAX_SEND_LAG_S, value_parser = seconds)]
    max_send_lag_s: f64,
    /// What is shown.
    #[command(flatten)]
    shown: Shown,
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
        let text = TextOptions { seed: Some(self.seed), tokenizer: None };
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

impl From<Arrival> for crate::bench::workload::Spacing {
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
    let prepared = args.workload().and_then(|workload| Ok((workload, args.address()?)));
    let (workload, address) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => return complain(&problem),
    };
    let log = match args.rows.as_ref().map(create).transpose() {
        Ok(log) => log,
        Err(problem) => return complain(&problem),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (Ok(runtime), Ok(shards)) = (runtime, Shards::for_this_machine()) else {
        return complain("the system gives no threads to send from");
    };
    match runtime.block_on(send(args, &workload, address, &shards, log)) {
        Ok(seen) => conclude(&seen),
        Err(Problem::Interrupted(seen)) => {
            seen.as_deref().map(show);
            Code::Interrupted.exit()
        }
        Err(Problem::Failed(problem)) => {
            eprintln!("error: {}", shown(&problem));
            Code::Engine.exit()
        }
    }
}

fn create(rows: &PathBuf) -> Result<RequestLog, String> {
    let unwritable =
        |e| format!("cannot write the rows to `{}`: {e}; choose another with `--rows FILE`", rows.display());
    RequestLog::create(rows).map_err(unwritable)
}

/// Why there is no whole measurement.
enum Problem {
    /// A signal came; what was seen until then, if anything was sent.
    Interrupted(Option<Box<Seen>>),
    /// In words.
    Failed(String),
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self::Failed(problem)
    }
}

async fn send(
    args: &LoadArgs,
    workload: &WorkloadConfig,
    address: Address,
    shards: &Shards,
    mut log: Option<RequestLog>,
) -> Result<Seen, Problem> {
    let cancel = CancellationToken::new();
    tokio::spawn(signals::heed(cancel.clone(), "giving up what is under way", signals::say));
    let (abort, aborted) = watch::channel(None);
    let run_id = format!("lmrun-{}", std::process::id());
    let server = async {
        let model = model_of(args, &address, &workload.request).await?;
        let server = server(args, &model, address.clone(), aborted);
        Ok::<_, String>(with_fitting_fields(args, server, &workload.request, shards, &run_id).await)
    };
    let server = cancel.run_until_cancelled(server).await.ok_or(Problem::Interrupted(None))??;
    let give_up = |reason: &str| drop(abort.send_replace(Some(reason.into())));
    let (mut unwritten, verbosity) = (None, args.shown.verbosity());
    let (events, received) = channel();
    let shown = std::thread::spawn(move || watch_load(&received, verbosity));
    let load = load::Load { config: workload, server, run_id, max_send_lag_s: args.max_send_lag_s };
    let seen = load::run(load, shards, &cancel, give_up, |told| {
        let event = match told {
            load::Told::Began(live) => Event::ExperimentStarted(Arc::new(live)),
            load::Told::Ended(row, seen) => {
                if let Some(Err(e)) = log.as_mut().map(|log| log.write(&row, &seen.chunks)) {
                    unwritten.get_or_insert(e);
                }
                Event::RequestDone(row)
            }
            load::Told::Warned(text) => Event::Warned { text },
        };
        let _ = events.send(event); // the screen may have gone
    })
    .await;
    drop(events);
    let _ = shown.join(); // a panic of the screen was printed by its thread
    if let Some(e) = unwritten.or_else(|| log.and_then(|log| log.finish().err())) {
        return Err(Problem::Failed(format!("the rows could not be written: {e}")));
    }
    if cancel.is_cancelled() { Err(Problem::Interrupted(Some(seen.into()))) } else { Ok(seen) }
}

fn watch_load(events: &Receiver<Event>, verbosity: Verbosity) {
    let mut watch = Watch::new(verbosity);
    while let Some(event) = watch.next(events) {
        match event {
            Event::RequestDone(row) => watch.request(&row),
            Event::Warned { text } => watch.screen.warn(&text),
            _ => {}
        }
    }
}

/// The server, without `ignore_eos` in its requests if it refuses that, which one request finds out.
async fn with_fitting_fields(
    args: &LoadArgs,
    server: Server,
    options: &RequestOptions,
    shards: &Shards,
    run_id: &str,
) -> Server {
    match args.asked.ignore_eos() {
        Some(true) => server,
        Some(false) => server.without_ignore_eos(),
        None => match refusal_of_ignore_eos(server.clone(), options, shards, run_id).await {
            None => server,
            Some(words) => {
                eprintln!(
                    "warning: the server refuses `ignore_eos`, so that its answers may be shorter than \
                     `--max-tokens`; `--no-ignore-eos` skips the question ({})",
                    shown(&words)
                );
                server.without_ignore_eos()
            }
        },
    }
}

fn server(args: &LoadArgs, model: &str, address: Address, abort: watch::Receiver<Option<String>>) -> Server {
    Server {
        name: address.authority().into(),
        kind: "openai".into(),
        simulated: false,
        model: model.into(),
        address,
        headers: BTreeMap::new(),
        stream_end: args.asked.stream_end(),
        chat_path: CHAT_PATH.into(),
        completions_path: COMPLETIONS_PATH.into(),
        reports_only_hits: false,
        extra_body: Map::new(),
        limits: args.asked.limits().into(),
        keeps_alive: Arc::new(AtomicBool::new(true)),
        abort,
    }
}

async fn model_of(args: &LoadArgs, address: &Address, options: &RequestOptions) -> Result<String, String> {
    if let Some(model) = &args.model {
        return Ok(model.clone());
    }
    let headers = options.all_headers();
    let models = probe::models_as(&address.base(), &headers, Duration::from_secs(10)).await;
    let models = models.map_err(|e| {
        format!("{e}; `--url` is what stands before `/v1`; `--model` does without asking for models")
    })?;
    let first = models.into_iter().next().map(|model| model.id);
    first.ok_or_else(|| "the server names no model: give it with `--model`".into())
}

fn show(seen: &Seen) {
    println!("{}\n{}", seen.title, experiment_table(seen, result_width()));
}

fn conclude(seen: &Seen) -> u8 {
    show(seen);
    if !seen.validity.is_valid() {
        for reason in seen.validity.texts() {
            eprintln!("warning: invalid: {reason}");
        }
        return Code::Invalid.exit();
    }
    if let Some(text) = Known::read().and_then(|known| known.exceeded_by(&seen.client)) {
        eprintln!("warning: {text}");
    }
    let failures = seen.engines.iter().flat_map(|engine| engine.failures());
    let mut code = exit::OK;
    for (failure, times) in failures {
        eprintln!("warning: {times} × {failure}");
        code = Code::Check.exit();
    }
    code
}
