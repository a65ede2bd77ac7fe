//! `lmrun selfcheck`: how far this machine's client can be trusted.

use super::{complain, exit, signals};
use crate::core::selfcheck::{Calibration, Checker, SelfCheck};
use crate::core::{Code, Site};
use crate::driver::http::Shards;
use crate::driver::scratch::Scratch;
use crate::driver::{limits, machine, orphans};
use crate::report::{Screen, Verbosity, selfcheck as report};
use clap::Args;
use std::io::Write;
use std::sync::mpsc::channel;
use tokio_util::sync::CancellationToken;

const EXAMPLES: &str = "\
Examples:
  lmrun selfcheck                  about a minute; best on a machine that does nothing else
  lmrun selfcheck --up-to 100      a quarter of it
  lmrun selfcheck --json > before.json

The result is kept in the user's cache folder. A run that sends more than was held warns.";

/// Measure what lmrun itself adds to the numbers on this machine.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SelfCheckArgs {
    /// The same as JSON, in seconds.
    #[arg(long)]
    json: bool,
    /// The most streams at the same time that are tried.
    #[arg(long, value_name = "STREAMS", default_value_t = 10_000)]
    up_to: usize,
    /// Threads that send [default: as in a run].
    #[arg(long)]
    threads: Option<usize>,
}

/// Checks and shows; 0 where a load was held.
pub fn run(args: &SelfCheckArgs) -> u8 {
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
    let tell = |text: &str| signals::say(&format!("\n{text}")); // below the step in place
    runtime.spawn(signals::heed(
        checker.cancel.clone(),
        "ending the check",
        tell,
    ));
    let Ok(screen) = Screen::new(Verbosity::Usual, checker.cancel.clone()) else {
        return complain("the system gives no thread for the screen");
    };
    let outcome = runtime.block_on(checker.check(args.up_to, |title| screen.step(title)));
    drop(screen);
    let interrupted = checker.cancel.is_cancelled();
    drop(checker);
    let _ = scratch.clear(); // what stays, a later run finds
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
    let program = std::env::current_exe().map_err(|e| format!("lmrun cannot find itself: {e}"))?;
    let folder = scratch
        .folder("selfcheck")
        .map_err(|e| format!("no folder for the stamps: {e}"))?;
    let shards = args
        .threads
        .map_or_else(Shards::for_this_machine, |threads| {
            Shards::start(threads.max(1))
        });
    let shards = shards.map_err(|e| format!("the system gives no threads to send from: {e}"))?;
    let (events, _) = channel(); // nobody listens: the steps are told
    Ok(Checker {
        shards,
        site: Site::new(folder.clone(), watchdogs, events),
        folder,
        program: program.display().to_string(),
        busy_subcommand: super::BUSY.into(),
        cancel: CancellationToken::new(),
    })
}

fn conclude(check: &SelfCheck, json: bool) -> u8 {
    let text = if json {
        report::json(check)
    } else {
        report::draw(check)
    };
    // A reader that went away has read enough.
    let _ = writeln!(std::io::stdout(), "{text}");
    let Some(conclusion) = check.conclusion() else {
        return Code::Invalid.exit();
    };
    match Calibration::new(check, conclusion).write() {
        Ok(()) => {}
        Err(e) => eprintln!("warning: runs will not know of this: {e}"),
    }
    exit::OK
}
