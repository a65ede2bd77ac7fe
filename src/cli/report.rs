//! `lmrun report`: figures of what runs left.

use super::{complain, exit, or_near};
use crate::core::Code;
use crate::report::{ReportError, write_report};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lmrun report                                           every test of the last run
  lmrun report outputs/20261124-093012-tests/            every test of another run
  lmrun report out/test_lmcache_local_cpu.csv            one test
  lmrun report monday/ tuesday/ --html both.html         several runs in one page

A CSV of LMCache's Python tests works too. The page needs no network.";

/// Draw what runs measured: a PDF beside each CSV, and one HTML page.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// CSVs of results, or folders with some; of a folder of runs the last run.
    #[arg(value_name = "PATH", default_value = "outputs/latest")]
    paths: Vec<PathBuf>,
    /// Where the page goes [default: `report.html` beside the first CSV].
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Writes the report, and says where.
pub fn run(args: &ReportArgs) -> u8 {
    match write_report(&args.paths, args.html.as_deref()) {
        Ok(written) => {
            for path in written {
                // A reader that went away has read enough.
                let _ = writeln!(std::io::stdout(), "{}", path.display());
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
