//! `lmrun selfcheck`: measures the overhead of the client on this machine.

use super::{complain, exit, print, signals};
use crate::core::selfcheck::{Calibration, Checker, SelfCheck};
use crate::core::{Client, Code, Interrupts, ServiceContext};
use crate::driver::http::Shards;
use crate::driver::scratch::Scratch;
use crate::driver::{limits, machine, orphans};
use crate::report::{Screen, Verbosity, selfcheck as report};
use clap::Args;
use std::sync::mpsc::channel;
use tokio_util::sync::CancellationToken;

const EXAMPLES: &str = "\
Examples:
  lmrun selfcheck                  takes about a minute on an idle machine
  lmrun selfcheck --up-to 100      takes about 15 seconds
  lmrun selfcheck --json > before.json

The result is saved in the user's cache folder. Runs with a higher load than it supports warn.";

/// Arguments of `lmrun selfcheck`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SelfCheckArgs {
    /// Print JSON, with times in seconds.
    #[arg(long)]
    json: bool,
    /// Maximum number of concurrent streams to try.
    #[arg(long, value_name = "STREAMS", default_value_t = 10_000)]
    up_to: usize,
    /// Number of sending threads [default: as in a run].
    #[arg(long)]
    threads: Option<usize>,
}

/// Measures, shows the result and returns the exit code.
pub(super) fn run(args: &SelfCheckArgs) -> u8 {
    limits::prepare_descriptors();
    orphans::adopt_orphans();
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(problem) => return complain(problem),
    };
    let scratch = Scratch::new(
        std::env::temp_dir().join("lmrun-scratch"),
        &format!("lmrun-{}", std::process::id()),
    );
    let checker = match checker(args, &scratch) {
        Ok(checker) => checker,
        Err(problem) => return complain(&problem),
    };
    runtime.spawn(signals::cancel_on_signal(
        checker.cancel.clone(),
        "ending the check",
        // The line of the current step has no line break.
        |text| signals::say(&format!("\n{text}")),
    ));
    let Ok(screen) = Screen::new(Verbosity::Usual, checker.cancel.clone()) else {
        return complain("cannot start a thread for the screen");
    };
    let outcome = runtime.block_on(checker.check(args.up_to, |title| screen.step(title)));
    drop(screen);
    let interrupted = checker.cancel.is_cancelled();
    drop(checker);
    // A later run removes what remains.
    let _ = scratch.clear();
    match outcome {
        _ if interrupted => Code::Interrupted.exit(),
        Ok(mut check) => {
            check.memory_mib = machine::peak_memory_mib();
            conclude(&check, args.json)
        }
        Err(e) => {
            eprintln!("error: {e}");
            Code::Engine.exit()
        }
    }
}

fn checker(args: &SelfCheckArgs, scratch: &Scratch) -> Result<Checker, String> {
    let watchdogs = super::watchdogs()?;
    let program =
        std::env::current_exe().map_err(|e| format!("cannot find the program of lmrun: {e}"))?;
    let folder = scratch
        .folder("selfcheck")
        .map_err(|e| format!("cannot create a folder: {e}"))?;
    let shards = args
        .threads
        .map_or_else(Shards::for_this_machine, |threads| {
            Shards::start(threads.max(1))
        });
    let shards = shards.map_err(|e| format!("cannot start the sending threads: {e}"))?;
    let cancel = CancellationToken::new();
    let (events, received) = channel();
    let context = ServiceContext::new(folder.clone(), watchdogs, events.clone());
    let client = Client {
        run_id: format!("selfcheck-{}", std::process::id()),
        ..Client::new(shards, events, Interrupts::new(cancel.clone()))
    };
    Ok(Checker {
        client,
        events: received,
        context,
        folder,
        program: program.display().to_string(),
        busy_subcommand: super::BUSY.into(),
        cancel,
    })
}

fn conclude(check: &SelfCheck, json: bool) -> u8 {
    let text = if json {
        report::json(check)
    } else {
        report::draw(check)
    };
    print::line(&text);
    let Some(conclusion) = check.conclusion() else {
        return Code::Invalid.exit();
    };
    match Calibration::new(check, conclusion).write() {
        Ok(()) => {}
        Err(e) => eprintln!("warning: cannot save the result for later runs: {e}"),
    }
    exit::OK
}
