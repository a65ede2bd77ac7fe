//! What can be written on the command line.

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
  lmrun scripts/tests.rhai -l                          list the tests; starts nothing
  lmrun scripts/tests.rhai -l -v -f local_cpu          list the parameters of tests, with their defaults
  lmrun scripts/tests.rhai -f local_cpu                run the tests whose name matches
  lmrun scripts/tests.rhai -f local_cpu -P gap_s=0.5   the same with a parameter changed
  lmrun scripts/tests.rhai -m meta-llama/Llama-3.1-8B-Instruct -p 8000 8001
  lmrun scripts/tests.rhai --engine sim -o /tmp/out    on the built-in simulator
  lmrun scripts/tests.rhai -q 2> failures.txt          only results and failures
  lmrun repl                                           a prompt to try things out at
  lmrun -e 'load::dummy(#{ requests: 2 }).title'       one expression
  lmrun load --url http://127.0.0.1:8000 --rate 4      a load without a script
  lmrun sim --port 8000 --model demo                   only the simulator
  lmrun report                                         figures of the last run: PDF and HTML
  lmrun export outputs/latest/test_a.csv --to vllm     results in another tool's words
  lmrun doctor                                         what this machine has for a run
  lmrun selfcheck                                      what lmrun itself adds to the numbers here
  lmrun new test mine                                  a script to start from: mine.rhai
  lmrun check mine.rhai                                its mistakes, without running it
  lmrun api load::dummy                                what a function does

Exit codes:
  0    every test passed
  1    a check failed, or a script did
  2    the command line is wrong, or the script does not compile
  3    an engine could not be started, or died
  4    no test matched
  5    the measurement is invalid, or could not be written
  130  interrupted";

/// End-to-end tests of LLM serving engines, written as Rhai scripts.
#[derive(Debug, Parser)]
#[command(name = "lmrun", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of running a script.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// How to run a script.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The verbs. A script with the name of one is reached as `./sim`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say what scripts can call: all of it, or one function in full.
    Api(ApiArgs),
    /// Find mistakes in scripts without running them.
    Check(CheckArgs),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Say what this machine has for a run: GPUs, engines, ports, limits.
    Doctor(DoctorArgs),
    /// Write results in the words of vLLM's, guidellm's or aiperf's own.
    Export(ExportArgs),
    /// Send a load to a server that runs already, without a script.
    Load(Box<LoadArgs>),
    /// Print the man page.
    Man,
    /// Make a script to start from.
    New(NewArgs),
    /// Try things out at a prompt: engines stay while their settings and requests are changed.
    Repl(Box<ReplArgs>),
    /// Draw what runs measured: a PDF beside each CSV, and one HTML page.
    Report(ReportArgs),
    /// Measure what lmrun itself adds to the numbers on this machine.
    Selfcheck(SelfCheckArgs),
    /// Serve the built-in simulator: an OpenAI API that behaves like vLLM.
    Sim(Box<SimArgs>),
    /// Keep a core busy.
    #[command(name = super::BUSY, hide = true)]
    Busy,
    /// End what is on the list when the parent ends.
    #[command(name = super::WATCHDOG, hide = true)]
    Watchdog,
}

/// What `-f` is without a word.
pub const TESTS: &str = "test_";

/// The flags of a run, as far as they are of use at a prompt.
#[derive(Debug, Args)]
#[command(mut_arg("filter", |arg| arg.hide(true)), mut_arg("list", |arg| arg.hide(true)))]
#[command(mut_arg("script", |arg| arg.help("A script whose functions are there from the start")))]
pub struct ReplArgs {
    /// The flags.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The flags of the Python original, and more.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The script whose tests to run, or whose `main`, where it has no test.
    #[arg(value_name = "SCRIPT")]
    pub script: Option<PathBuf>,
    /// Run the tests whose name this regular expression finds.
    #[arg(short, long, value_name = "REGEX", default_value = TESTS)]
    pub filter: String,
    /// Evaluate an expression as at the prompt of `lmrun repl`, print its value, and end; `-`: what
    /// stands on standard input.
    #[arg(short, long, value_name = "EXPR", conflicts_with_all = ["script", "list"], allow_hyphen_values = true)]
    pub eval: Option<String>,
    /// List the tests, one per line, and start nothing; with -v also their parameters.
    #[arg(short, long)]
    pub list: bool,
    /// The folder of the results; earlier results of the same test move to `DIR/earlier/`
    /// [default: a new folder for each run, `outputs/DATE-TIME-SCRIPT/`; `outputs/latest` is the last].
    #[arg(short, long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// The model that the tests use.
    #[arg(short, long)]
    pub model: Option<String>,
    /// The ports of the first two engines; further ones follow the second.
    #[arg(short, long, num_args = 2, value_names = ["P1", "P2"], default_values_t = [8000, 8001], value_parser = port)]
    pub ports: Vec<u16>,
    /// Set a parameter of the tests; `-l -v` lists them with their defaults.
    #[arg(short = 'P', value_name = "NAME=VALUE", value_parser = parameter)]
    pub parameters: Vec<(String, String)>,
    /// The engine of tests that leave it open; `auto`: vLLM if it is on the PATH, else the simulator.
    #[arg(long, value_name = "auto|vllm|sim|…", default_value = "auto")]
    pub engine: String,
    /// Where engine logs go, `<port>-stdout.log` and `<port>-stderr.log` [default: the output folder].
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,
    /// How late requests may be sent before the numbers are invalid; a twentieth of the median TTFT
    /// is always allowed.
    #[arg(long, value_name = "S", default_value_t = crate::core::MAX_SEND_LAG_S, value_parser = seconds)]
    pub max_send_lag_s: f64,
    /// The seed of everything random: the simulator's words and times.
    #[arg(long, default_value_t = 0, value_parser = seed)]
    pub seed: u64,
    /// What is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// How much is shown of what goes on.
#[derive(Clone, Copy, Debug, Args)]
pub struct Shown {
    /// Show results and failures only.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Show every request as well, a line each; with -l the parameters of the tests.
    #[arg(short, long)]
    verbose: bool,
}

impl Shown {
    /// True if details are asked for.
    pub fn is_verbose(self) -> bool {
        self.verbose
    }

    /// As the screen takes it.
    pub fn verbosity(self) -> Verbosity {
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
        .ok_or_else(|| "expected a port, from 1 to 65535".into())
}

/// Reads a seed that a script can hold: its whole numbers are `i64`.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    let seed = text
        .parse()
        .ok()
        .filter(|seed: &u64| i64::try_from(*seed).is_ok());
    seed.ok_or_else(|| format!("expected a whole number, from 0 to {}", i64::MAX))
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
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_originals_command_line_is_understood() {
        let cli = Cli::parse_from(
            "lmrun scripts/tests.rhai -f local_cpu -o out -m a/b -p 8100 8101 -P gap_s=2 -l"
                .split(' '),
        );
        assert_eq!(cli.run.ports, [8100, 8101]);
        assert_eq!(cli.run.parameters, [("gap_s".to_owned(), "2".to_owned())]);
        assert!(cli.run.list);
    }

    #[test]
    fn a_seed_is_one_that_scripts_can_hold() {
        let parses = |verb: &[&str], seed: &str| {
            let flag = format!("--seed={seed}");
            Cli::try_parse_from([&["lmrun"], verb, &[&flag]].concat()).is_ok()
        };
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
        assert!(verbs.iter().all(|verb| parses(verb, &largest)));
        for refused in [
            "9223372036854775808",
            "18446744073709551615",
            "-1",
            "1.5",
            "x",
        ] {
            let problem = format!("expected a whole number, from 0 to {largest}");
            assert_eq!(
                parameter(&format!("seed={refused}")),
                Err(problem),
                "{refused}"
            );
            assert!(!verbs.iter().any(|verb| parses(verb, refused)), "{refused}");
        }
    }

    #[test]
    fn a_script_named_like_a_verb_is_reached_by_its_path() {
        let cli = Cli::parse_from(["lmrun", "./sim"]);
        assert_eq!(cli.run.script, Some("./sim".into()));
    }
}
