//! The environment of a run or of a prompt: output folder, runtime, sending threads, reporter.

use super::args::RunArgs;
use super::exit;
use crate::core::selfcheck::Calibration;
use crate::core::{Client, Code, Event, Fleet, Interrupts, Runner, ServiceContext};
use crate::driver::http::Shards;
use crate::driver::{container, leftovers, limits, machine, orphans, program, secrets};
use crate::report::{Destination, Outputs, Reporter, RunFacts};
use crate::script::{EngineChoice, Folders, Host, HostSettings, Parameters, engine_kinds, nearest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The folder of all runs that have no `-o`.
const OUTPUTS: &str = "outputs";

/// The environment of a run or of a prompt.
pub struct Stage {
    /// The host of scripts.
    pub host: Host,
    /// The runtime of all tasks that wait.
    pub runtime: Runtime,
    /// Ends all of it.
    pub cancel: CancellationToken,
    /// The name of results that belong to no test.
    pub name: String,
    /// The place of results.
    pub outputs: Outputs,
    reporting: JoinHandle<Option<Code>>,
}

impl Stage {
    /// Sets it for a script with this text, in this folder.
    ///
    /// # Errors
    /// When the output folder cannot be written, or the system gives no threads.
    pub fn set(args: &RunArgs, text: &str, folder: &Path) -> Result<Self, String> {
        let watchdogs = super::watchdogs()?;
        let prepared = prepare(args, text)?;
        limits::prepare_descriptors();
        orphans::adopt_orphans();
        let runtime = super::runtime()?;
        let shards =
            Shards::for_this_machine().map_err(|_| "the system gives no threads to send from")?;
        let (events, received) = channel();
        let cancel = CancellationToken::new();
        let facts = facts(args, text);
        let outputs = prepared.outputs.clone();
        let ports = [args.ports[0], args.ports[1]]; // clap takes two or none, and has a default
        let fleet = Fleet::new(
            ports,
            ServiceContext::new(prepared.log_dir.clone(), watchdogs, events.clone()),
        );
        let client = Client {
            run_id: facts.run_id.clone(),
            calibration: Calibration::read(),
            max_send_lag_s: args.max_send_lag_s,
            ..Client::new(shards, events, Interrupts::new(cancel.clone()))
        };
        let runner = Arc::new(Runner::new(fleet, client));
        let name = format!("repl-{}", jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S"));
        let reporter = Reporter::new(
            prepared.outputs,
            facts,
            cancel.clone(),
            args.shown.verbosity(),
        )
        .map_err(|_| "the system gives no thread for the screen")?;
        let reporting = std::thread::Builder::new()
            .name("report".into())
            .spawn(move || reporter.work(&received));
        let reporting = reporting.map_err(|_| "the system gives no thread for the report")?;
        let folders = Folders {
            script: folder.into(),
            outputs: outputs.folder().into(),
            scratch: outputs.shared().join("scratch"),
        };
        let settings = HostSettings {
            parameters: Parameters::new(parameters(args)),
            folders,
            engine: prepared.engine,
        };
        let host = Host::new(runtime.handle().clone(), runner, settings);
        let ended = cancel.run_until_cancelled(async {
            let mut ended = leftovers::kill_all().await;
            ended.extend(container::remove_orphans().await);
            ended
        });
        let warnings = host.wait(ended).unwrap_or_default();
        for text in warnings.into_iter().chain(outputs.warning()) {
            host.runner().emit(Event::Warned { text });
        }
        Ok(Self {
            host,
            runtime,
            cancel,
            name,
            outputs,
            reporting,
        })
    }

    /// Ends it; the exit code of the gravest failure that was reported.
    pub fn end(self) -> u8 {
        self.host.runner().emit(Event::RunDone);
        let gravest = self.reporting.join();
        self.runtime.shutdown_background();
        self.outputs.remove_if_empty();
        gravest.map_or(exit::BUG, |gravest| gravest.map_or(exit::OK, Code::exit))
    }
}

/// The parts that must exist before anything starts.
struct Prepared {
    outputs: Outputs,
    log_dir: PathBuf,
    engine: EngineChoice,
}

fn prepare(args: &RunArgs, text: &str) -> Result<Prepared, String> {
    let label = args
        .script
        .as_deref()
        .and_then(Path::file_stem)
        .map(|stem| stem.to_string_lossy());
    let label = label.unwrap_or_else(|| if args.eval.is_some() { "eval" } else { "repl" }.into());
    let base = Path::new(OUTPUTS);
    let destination = match &args.output_dir {
        Some(folder) => Destination::Folder(folder),
        None => Destination::NewFolder {
            base,
            label: &label,
        },
    };
    let unwritable = |what: &str, folder: &Path, flag: &str| {
        let (what, folder) = (
            format!("{what} `{}`", folder.display()),
            format!("`{flag} DIR`"),
        );
        move |e: std::io::Error| {
            format!("cannot write to the {what}: {e}; choose another with {folder}")
        }
    };
    let outputs = Outputs::prepare(destination, args.model.as_deref());
    let asked = args.output_dir.as_deref().unwrap_or(base);
    let outputs = outputs.map_err(unwritable("output folder", asked, "-o"))?;
    let log_dir = args
        .log_dir
        .clone()
        .unwrap_or_else(|| outputs.folder().into());
    std::fs::create_dir_all(&log_dir).map_err(unwritable(
        "folder of logs",
        &log_dir,
        "--log-dir",
    ))?;
    let lmrun = std::env::current_exe().map_err(|e| format!("lmrun cannot find itself: {e}"))?;
    let engine = choose(&args.engine, &lmrun, text)?;
    Ok(Prepared {
        outputs,
        log_dir,
        engine,
    })
}

/// `auto` is vLLM where it is on the PATH, else the simulator.
fn choose(asked: &str, lmrun: &Path, text: &str) -> Result<EngineChoice, String> {
    let kinds = engine_kinds();
    let kind = match asked {
        "auto" if program::find("vllm").is_some() => "vllm",
        "auto" => {
            if text.contains("std/engine") {
                eprintln!(
                    "SIMULATED: there is no `vllm` on the PATH, so the built-in simulator serves; its numbers are made up"
                );
            }
            "sim"
        }
        kind if kinds.contains(&kind) => kind,
        other => {
            let hint = nearest(other, kinds.iter().copied())
                .map(|near| format!("; did you mean `{near}`?"));
            let hint = hint.unwrap_or_default();
            return Err(format!(
                "there is no engine `{other}`: `--engine` takes auto, {}{hint}",
                kinds.join(", ")
            ));
        }
    };
    Ok(EngineChoice {
        kind: kind.into(),
        program: lmrun.into(),
    })
}

fn parameters(args: &RunArgs) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = args.parameters.iter().cloned().collect();
    if let Some(model) = &args.model {
        parameters.insert("model".into(), model.clone());
    }
    secrets::register(
        parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    parameters
        .entry("seed".into())
        .or_insert_with(|| args.seed.to_string());
    parameters
}

fn facts(args: &RunArgs, text: &str) -> RunFacts {
    RunFacts::new(
        machine::unix_s(),
        args.script
            .as_deref()
            .map(|path| path.display().to_string())
            .unwrap_or_default(),
        text,
        args.seed,
        parameters(args),
    )
}
