//! The verbs and flags of the command line.

use super::api::ApiArgs;
use super::check::CheckArgs;
use super::doctor::DoctorArgs;
use super::export::ExportArgs;
use super::load::LoadArgs;
use super::new::NewArgs;
use super::report::ReportArgs;
use super::selfcheck::SelfCheckArgs;
use super::sim::SimArgs;
use crate::report::Verbosity;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lmrun scripts/tests.rhai -l                          list the tests
  lmrun scripts/tests.rhai -l -v -f local_cpu          list tests with their parameters
  lmrun scripts/tests.rhai -f local_cpu                run the tests that match
  lmrun scripts/tests.rhai -f local_cpu -P gap_s=0.5   run them with another parameter
  lmrun scripts/tests.rhai -m meta-llama/Llama-3.1-8B-Instruct -p 8000 8001
  lmrun scripts/tests.rhai --engine sim -o /tmp/out    run on the built-in simulator
  lmrun scripts/tests.rhai -q 2> failures.txt          show only results and failures
  lmrun repl                                           start an interactive prompt
  lmrun -e 'load::dummy(#{ requests: 2 }).title'       evaluate an expression
  lmrun load --url http://127.0.0.1:8000 --rate 4      load a server without a script
  lmrun sim --port 8000 --model demo                   serve the simulator
  lmrun report                                         draw the last run as PDF and HTML
  lmrun export outputs/latest/test_a.csv --to vllm     convert results for another tool
  lmrun doctor                                         check this machine
  lmrun selfcheck                                      measure the overhead of lmrun itself
  lmrun new test mine                                  create the script mine.rhai
  lmrun check mine.rhai                                find mistakes without running it
  lmrun api load::dummy                                show the documentation of a function

Exit codes:
  0    all tests passed
  1    a check failed, or a script raised an error
  2    invalid command line, or a script that does not compile
  3    an engine failed to start, or exited
  4    no test matched
  5    the measurement is invalid, or could not be written
  130  interrupted";

/// End-to-end tests of LLM serving engines, written as Rhai scripts.
#[derive(Debug, Parser)]
#[command(name = "lmrun", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Cli {
    /// The verb; a run of a script if there is none.
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
    /// The flags of a run.
    #[command(flatten)]
    pub(super) run: RunArgs,
}

/// The verbs. A script with the name of a verb is run as `./sim`.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the functions that scripts can call, or the documentation of one.
    Api(ApiArgs),
    /// Find mistakes in scripts without running them.
    Check(CheckArgs),
    /// Print shell completions.
    Completions {
        /// Shell to complete for.
        shell: clap_complete::Shell,
    },
    /// Check this machine: GPUs, engines, ports and limits.
    Doctor(DoctorArgs),
    /// Convert results to the format of vLLM, guidellm or aiperf.
    Export(ExportArgs),
    /// Send requests to a running server, without a script.
    Load(Box<LoadArgs>),
    /// Print the man page.
    Man,
    /// Create a script.
    New(NewArgs),
    /// Start an interactive prompt, at which engines keep running between inputs.
    Repl(Box<ReplArgs>),
    /// Draw results: a PDF beside each CSV, and one HTML page.
    Report(ReportArgs),
    /// Measure the overhead of lmrun itself on this machine.
    Selfcheck(SelfCheckArgs),
    /// Serve the built-in simulator: an OpenAI API that behaves like vLLM.
    Sim(Box<SimArgs>),
    /// Keep a core busy.
    #[command(name = super::BUSY, hide = true)]
    Busy,
    /// Start a program, and kill its processes when lmrun ends.
    #[command(name = super::WATCHDOG, hide = true)]
    Watchdog,
}

/// The default of `--filter`.
pub(super) const TESTS: &str = "test_";

/// The flags of a run that apply to a prompt.
#[derive(Debug, Args)]
#[command(mut_arg("filter", |arg| arg.hide(true)), mut_arg("list", |arg| arg.hide(true)))]
#[command(mut_arg("script", |arg| arg.help("Script to load first")))]
pub(super) struct ReplArgs {
    /// The flags.
    #[command(flatten)]
    pub(super) run: RunArgs,
}

/// The flags of a run.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Script whose tests to run. If it has no test, its function `main` is run.
    #[arg(value_name = "SCRIPT")]
    pub(super) script: Option<PathBuf>,
    /// Run only tests whose name matches a regular expression.
    #[arg(short, long, value_name = "REGEX", default_value = TESTS)]
    pub(super) filter: String,
    /// Evaluate an expression as `lmrun repl` does, print its value and exit; `-` reads standard
    /// input.
    #[arg(short, long, value_name = "EXPR", allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["script", "list"])]
    pub(super) eval: Option<String>,
    /// List tests, one per line, without running them; with -v, also list their parameters.
    #[arg(short, long)]
    pub(super) list: bool,
    /// Folder for results; earlier results of the same test move to `DIR/earlier/`
    /// [default: a new folder `outputs/DATE-TIME-SCRIPT/`, also reached as `outputs/latest`].
    #[arg(short, long, value_name = "DIR")]
    pub(super) output_dir: Option<PathBuf>,
    /// Model for the tests to use.
    #[arg(short, long)]
    pub(super) model: Option<String>,
    /// Ports of the first two engines; further engines use the ports after P2.
    #[arg(short, long, num_args = 2, value_names = ["P1", "P2"], value_parser = port)]
    #[arg(default_values_t = [8000, 8001])]
    pub(super) ports: Vec<u16>,
    /// Set a parameter of the tests; `-l -v` lists them with their defaults.
    #[arg(short = 'P', value_name = "NAME=VALUE", value_parser = parameter)]
    pub(super) parameters: Vec<(String, String)>,
    /// Engine for tests that do not choose one; `auto` is vLLM if it is on the PATH, else `sim`.
    #[arg(long, value_name = "auto|vllm|sim|…", default_value = "auto")]
    pub(super) engine: String,
    /// Folder for engine logs, `<port>-stdout.log` and `<port>-stderr.log`
    /// [default: the output folder].
    #[arg(long, value_name = "DIR")]
    pub(super) log_dir: Option<PathBuf>,
    /// Maximum delay of sending in seconds; results are invalid above it. 5 % of the median TTFT is
    /// always allowed.
    #[arg(long, value_name = "S", value_parser = seconds)]
    #[arg(default_value_t = crate::core::MAX_SEND_LAG_S)]
    pub(super) max_send_lag_s: f64,
    /// Seed of random workloads, and of the simulator's words and times.
    #[arg(long, default_value_t = 0, value_parser = seed)]
    pub(super) seed: u64,
    /// The amount of output.
    #[command(flatten)]
    pub(super) shown: VerbosityFlags,
}

/// The amount of output.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct VerbosityFlags {
    /// Show only results and failures.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Show a line for each request; with -l, show the parameters of the tests.
    #[arg(short, long)]
    verbose: bool,
}

impl VerbosityFlags {
    /// Returns true with `--verbose`.
    pub(super) fn is_verbose(self) -> bool {
        self.verbose
    }

    /// Returns the amount of output for the screen.
    pub(super) fn verbosity(self) -> Verbosity {
        match self {
            Self { quiet: true, .. } => Verbosity::Quiet,
            Self { verbose: true, .. } => Verbosity::Verbose,
            _ => Verbosity::Usual,
        }
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| "expected a port from 1 to 65535".into())
}

/// Parses a seed. It must fit the `i64` of scripts.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    let seed = text
        .parse()
        .ok()
        .filter(|seed: &u64| i64::try_from(*seed).is_ok());
    seed.ok_or_else(|| format!("expected a whole number from 0 to {}", i64::MAX))
}

pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    seconds.ok_or_else(|| "expected a number of seconds, zero or more".into())
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("seed", value)) => seed(value).map(|seed| ("seed".into(), seed.to_string())),
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("expected NAME=VALUE, such as gap_s=0.5".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definition_of_the_command_line_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn command_line_of_the_python_tests_is_accepted() {
        let cli = Cli::parse_from(
            "lmrun scripts/tests.rhai -f local_cpu -o out -m a/b -p 8100 8101 -P gap_s=2 -l"
                .split(' '),
        );
        assert_eq!(cli.run.ports, [8100, 8101]);
        assert_eq!(cli.run.parameters, [("gap_s".to_owned(), "2".to_owned())]);
        assert!(cli.run.list);
    }

    fn accepts_seed(verb: &[&str], seed: &str) -> bool {
        let flag = format!("--seed={seed}");
        Cli::try_parse_from([&["lmrun"], verb, &[&flag]].concat()).is_ok()
    }

    #[test]
    fn seeds_must_fit_the_integers_of_scripts() {
        let verbs: [&[&str]; 3] = [
            &["t.rhai"],
            &["sim"],
            &["load", "--url", "u", "--rate", "1"],
        ];
        let largest = i64::MAX.to_string();
        assert_eq!(
            parameter(&format!("seed={largest}")),
            Ok(("seed".into(), largest.clone()))
        );
        assert!(verbs.iter().all(|verb| accepts_seed(verb, &largest)));
        for refused in [
            "9223372036854775808",
            "18446744073709551615",
            "-1",
            "1.5",
            "x",
        ] {
            let problem = format!("expected a whole number from 0 to {largest}");
            assert_eq!(
                parameter(&format!("seed={refused}")),
                Err(problem),
                "{refused}"
            );
            assert!(
                !verbs.iter().any(|verb| accepts_seed(verb, refused)),
                "{refused}"
            );
        }
    }

    #[test]
    fn scripts_with_the_name_of_a_verb_are_run_by_path() {
        let cli = Cli::parse_from(["lmrun", "./sim"]);
        assert_eq!(cli.run.script, Some("./sim".into()));
    }
}
