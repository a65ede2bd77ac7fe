//! `lmrun check`: finds mistakes in scripts without running them.

use super::{complain, exit, print};
use crate::report::color;
use crate::script::check;
use clap::Args;
use std::path::PathBuf;

const DETAILS: &str = "\
Mistakes:
  unknown functions, modules and options, also in maps within options
  too few or too many arguments, or a literal of the wrong type
  a literal value that an option does not accept

Warnings:
  unused imports
  functions named `test_…` that are not tests
  unused functions in a script with tests
  `${x}` in double quotes, where `x` is a variable
  calls in two scripts that Rhai may confuse
  divisions of whole numbers that may leave a remainder

Exit codes:
  0    no mistakes; there may be warnings
  2    mistakes, or warnings with `--deny-warnings`";

/// Arguments of `lmrun check`.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct CheckArgs {
    /// Scripts to check, with all their imports.
    #[arg(value_name = "SCRIPT", required = true)]
    scripts: Vec<PathBuf>,
    /// Exit with code 2 if there are warnings.
    #[arg(short = 'D', long)]
    deny_warnings: bool,
}

/// Checks scripts, shows the findings and returns the exit code.
pub(super) fn run(args: &CheckArgs) -> u8 {
    let mut errors = 0;
    let mut warnings = 0;
    for found in check(&args.scripts, color()) {
        if found.is_mistake {
            errors += 1;
        } else {
            warnings += 1;
        }
        eprintln!("{}\n", found.drawing);
    }
    let summary = match (errors, warnings) {
        (0, 0) => "no mistakes found".into(),
        (0, warnings) => format!("no mistakes found, {}", counted(warnings, "warning")),
        (errors, 0) => counted(errors, "mistake"),
        (errors, warnings) => {
            let errors = counted(errors, "mistake");
            format!("{errors}, {}", counted(warnings, "warning"))
        }
    };
    if errors > 0 || args.deny_warnings && warnings > 0 {
        return complain(&summary);
    }
    print::line(&summary);
    exit::OK
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
