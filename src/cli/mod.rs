//! The command line: verbs, flags and exit codes. The only layer that knows clap.

mod api;
mod args;
mod asked;
mod check;
mod doctor;
mod export;
mod load;
mod new;
mod parameters;
mod print;
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

/// The exit codes besides those of [`crate::core::Code`].
mod exit {
    /// All tests passed.
    pub(super) const OK: u8 = 0;
    /// Invalid command line, or a script that does not compile.
    pub(super) const USAGE: u8 = 2;
    /// No test matched.
    pub(super) const NO_TEST: u8 = 4;
    /// A bug in lmrun.
    pub(super) const BUG: u8 = 101;
}

/// The hidden verb of a watchdog.
const WATCHDOG: &str = "watchdog-of-lmrun";

/// The hidden verb of a process that keeps a core busy.
const BUSY: &str = "busy-of-lmrun";

/// Runs the program and returns its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|e| exit_with_usage_error(&e));
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

/// Shows an error of the command line and exits. Clap takes a misspelt verb for a script, and the
/// argument after it for a verb.
fn exit_with_usage_error(error: &clap::Error) -> ! {
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
            "unknown verb `{first}`; did you mean `lmrun {verb}`?"
        )),
        (Some(second), None) => complain(&format!("expected one script, found also `{second}`")),
    };
    std::process::exit(exit::USAGE.into())
}

/// Adds a file with a similar name to a problem if `path` does not exist.
fn or_near(problem: String, path: &Path) -> String {
    match neighbour(path).filter(|_| !path.exists()) {
        Some(near) => format!("{problem}; did you mean `{}`?", near.display()),
        None => problem,
    }
}

/// Runs `work` on a thread with a big stack: Rhai recurses on the native stack.
fn on_a_big_stack(work: impl FnOnce() -> u8 + Send + 'static) -> u8 {
    const SIZE: usize = 64 << 20;
    match std::thread::Builder::new()
        .name("script".into())
        .stack_size(SIZE)
        .spawn(work)
    {
        Ok(thread) => thread.join().unwrap_or(exit::BUG),
        Err(e) => complain(&format!("cannot start a thread for the script: {e}")),
    }
}

/// Returns the starter of watchdogs.
///
/// # Errors
/// If lmrun cannot find its own program, or /proc does not show its processes.
fn watchdogs() -> Result<Watchdogs, String> {
    if !machine::proc_is_ours() {
        return Err(
            "/proc is not mounted, or belongs to another PID namespace, so lmrun cannot find its \
             processes; mount it with `mount -t proc proc /proc`, or use `unshare --mount-proc`"
                .into(),
        );
    }
    let program =
        std::env::current_exe().map_err(|e| format!("cannot find the program of lmrun: {e}"))?;
    Ok(Watchdogs::new(program, WATCHDOG))
}

/// The number of threads of a run: two workers, those that send, report and draw the screen, the
/// one that starts engines, and some that block.
const THREADS: usize = 16;

const TOO_FEW_THREADS: &str = "cannot start enough threads; \
    help: raise `ulimit -u`, or the process limit of the container";

/// Creates the runtime of everything that waits.
///
/// # Errors
/// If the system does not allow enough threads.
fn runtime() -> Result<tokio::runtime::Runtime, &'static str> {
    // Tokio panics or hangs if it gets no thread.
    if !limits::can_start_threads(THREADS) {
        return Err(TOO_FEW_THREADS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|_| TOO_FEW_THREADS)?;
    // With a handler, a file that reaches `ulimit -f` is an error of its writer instead of the end
    // of this process. Engines do not inherit it.
    runtime.block_on(async { drop(signal(SignalKind::from_raw(nix::libc::SIGXFSZ))) });
    Ok(runtime)
}

/// Shows a usage error like clap and returns its exit code.
fn complain(problem: &str) -> u8 {
    eprintln!("error: {}", printable_message(problem));
    exit::USAGE
}
