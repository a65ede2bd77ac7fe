//! `lmrun report`: draws the results of runs.

use super::{complain, exit, or_near, print};
use crate::core::Code;
use crate::report::{ReportError, write_report};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lmrun report                                           all tests of the last run
  lmrun report outputs/20261124-093012-tests/            all tests of another run
  lmrun report out/test_lmcache_local_cpu.csv            one test
  lmrun report monday/ tuesday/ --html both.html         several runs in one page

CSVs of the Python tests of LMCache are accepted. The page needs no network.";

/// Arguments of `lmrun report`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReportArgs {
    /// CSVs of results, or folders of them; in a folder of runs, the last run.
    #[arg(value_name = "PATH", default_value = "outputs/latest")]
    paths: Vec<PathBuf>,
    /// File of the HTML page [default: `report.html` beside the first CSV].
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Writes the report, prints its paths and returns the exit code.
pub(super) fn run(args: &ReportArgs) -> u8 {
    match write_report(&args.paths, args.html.as_deref()) {
        Ok(written) => {
            for path in written {
                print::line(&path.display().to_string());
            }
            exit::OK
        }
        Err(e @ ReportError::Unwritten { .. }) => {
            complain(&e.to_string());
            Code::Invalid.exit()
        }
        Err(e) => {
            let missing = args.paths.iter().find(|path| !path.exists());
            complain(&missing.map_or_else(|| e.to_string(), |path| or_near(e.to_string(), path)))
        }
    }
}
