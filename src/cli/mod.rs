//! The command line: words, flags, exit codes. The only layer that knows clap.

mod api;
mod args;
mod asked;
mod check;
mod doctor;
mod export;
mod load;
mod new;
mod parameters;
mod repl;
mod report;
mod run;
mod selfcheck;
mod shell;
mod signals;
mod sim;
mod stage;

use crate::driver::text::printable_message;
use crate::driver::watchdog::Watchdogs;
use crate::driver::{limits, machine};
use crate::script::neighbour;
use args::{Cli, Verb};
use clap::Parser;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Exit codes that are not a test's: the others are [`crate::core::Code`]'s.
mod exit {
    /// Everything passed.
    pub const OK: u8 = 0;
    /// The command line or the script is wrong.
    pub const USAGE: u8 = 2;
    /// No test matches.
    pub const NO_TEST: u8 = 4;
    /// lmrun itself is at fault.
    pub const BUG: u8 = 101;
}

/// The hidden verb under which lmrun is its own watchdog.
const WATCHDOG: &str = "watchdog-of-lmrun";

/// The hidden verb under which lmrun is a process that never rests.
const BUSY: &str = "busy-of-lmrun";

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|e| refuse(&e));
    let code = match cli.verb {
        Some(Verb::Api(args)) => api::run(&args),
        Some(Verb::Check(args)) => on_a_big_stack(move || check::run(&args)),
        Some(Verb::Completions { shell }) => shell::completions(shell),
        Some(Verb::Doctor(args)) => doctor::run(&args),
        Some(Verb::Export(args)) => export::run(&args),
        Some(Verb::Load(args)) => load::run(&args),
        Some(Verb::Selfcheck(args)) => selfcheck::run(&args),
        Some(Verb::Busy) => loop {
            std::hint::spin_loop();
        },
        Some(Verb::Report(args)) => report::run(&args),
        Some(Verb::Repl(args)) => on_a_big_stack(move || repl::run(&args.run)),
        Some(Verb::Man) => shell::man(),
        Some(Verb::New(args)) => new::run(&args),
        Some(Verb::Sim(args)) => sim::run(*args),
        Some(Verb::Watchdog) => {
            crate::driver::watchdog::run_watchdog();
            exit::OK
        }
        None if cli.run.eval.is_some() => on_a_big_stack(move || repl::run(&cli.run)),
        None => on_a_big_stack(move || run::run(&cli.run)),
    };
    ExitCode::from(code)
}

/// Says what is wrong with the command line. Clap takes a verb that is misspelt for a script, and what follows
/// for a verb.
fn refuse(error: &clap::Error) -> ! {
    let text = error.to_string();
    let second = text
        .strip_prefix("error: the subcommand '")
        .and_then(|rest| rest.split('\'').next());
    let first = std::env::args_os()
        .nth(1)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    match (second, run::verb_like(Path::new(&first))) {
        (None, _) => error.exit(),
        (_, Some(verb)) => complain(&format!(
            "there is no verb `{first}`; did you mean `lmrun {verb}`?"
        )),
        (Some(second), None) => complain(&format!("one script a run: `{second}` is one too many")),
    };
    std::process::exit(exit::USAGE.into())
}

/// What is said of `path`, and of the file that may be meant where it is not there.
fn or_near(problem: String, path: &Path) -> String {
    match neighbour(path).filter(|_| !path.exists()) {
        Some(near) => format!("{problem}; did you mean `{}`?", near.display()),
        None => problem,
    }
}

/// Rhai recurses on the native stack: a deep script would overflow that of the main thread.
fn on_a_big_stack(work: impl FnOnce() -> u8 + Send + 'static) -> u8 {
    const SIZE: usize = 64 << 20;
    match std::thread::Builder::new()
        .name("script".into())
        .stack_size(SIZE)
        .spawn(work)
    {
        Ok(thread) => thread.join().unwrap_or(exit::BUG),
        Err(e) => complain(&format!("the system gives no thread for the script: {e}")),
    }
}

/// The watchdogs of what lmrun starts.
///
/// # Errors
/// Fails if lmrun cannot find its own program, or if /proc does not show the processes that it would watch.
fn watchdogs() -> Result<Watchdogs, String> {
    if !machine::proc_is_ours() {
        return Err("/proc is not mounted, or shows the processes of another process-id namespace, so that lmrun \
                    cannot tell which are its own; mount it: `mount -t proc proc /proc`, or `unshare --mount-proc`"
            .into());
    }
    let program = std::env::current_exe().map_err(|e| format!("lmrun cannot find itself: {e}"))?;
    Ok(Watchdogs::new(program, WATCHDOG))
}

/// Threads that a run starts: two workers, those that send, report and write to the screen, the one that starts
/// engines, and some that block.
const THREADS: usize = 16;

/// Where all that waits does so.
fn runtime() -> Result<tokio::runtime::Runtime, &'static str> {
    const TOO_FEW: &str = "the system gives too few threads; help: raise `ulimit -u`, or the container's limit of processes";
    // Tokio panics or hangs if it gets no thread.
    if !limits::can_start_threads(THREADS) {
        return Err(TOO_FEW);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|_| TOO_FEW)?;
    // With a handler, a file that reaches `ulimit -f` is an error of its writer, not the end of this process.
    // Engines do not inherit it.
    runtime.block_on(async { drop(signal(SignalKind::from_raw(nix::libc::SIGXFSZ))) });
    Ok(runtime)
}

/// Says what is wrong with the command line, in clap's manner.
fn complain(problem: &str) -> u8 {
    eprintln!("error: {}", printable_message(problem));
    exit::USAGE
}
