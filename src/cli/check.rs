//! `lmrun check`: the mistakes of scripts that can be found without running them.

use super::exit;
use crate::report::color;
use crate::script::check;
use clap::Args;
use std::path::PathBuf;

const EXPLAINED: &str = "\
A mistake is what fails when it is run:
  a function, a module or an option that is not there, also in a map within options;
  too few or too many arguments, or a literal of another type;
  a literal value of an option that its function refuses.

A warning is what may be as it is meant:
  an import of which nothing is used;
  a function named `test_…` that is no test;
  in a script with tests, a function to which nothing leads: neither a public function without
  parameters, nor a statement outside of functions, nor a script that it imports or that is
  checked with it;
  a text in double quotes with `${x}`, where `x` is a variable;
  calls in two scripts that Rhai may take for each other.

Exit codes:
  0    no mistake; there may be warnings
  2    a mistake, or with `--deny-warnings` a warning";

/// The mistakes of scripts that can be found without running them.
#[derive(Debug, Args)]
#[command(after_help = EXPLAINED)]
pub struct CheckArgs {
    /// The scripts; what they import is looked at, too.
    #[arg(value_name = "SCRIPT", required = true)]
    scripts: Vec<PathBuf>,
    /// Exit with 2 if there are warnings, too.
    #[arg(short = 'D', long)]
    deny_warnings: bool,
}

/// Looks and shows; 0 if there is nothing that is refused.
pub fn run(args: &CheckArgs) -> u8 {
    let (mut mistakes, mut warnings) = (0, 0);
    for found in check(&args.scripts, color()) {
        *if found.is_mistake {
            &mut mistakes
        } else {
            &mut warnings
        } += 1;
        eprintln!("{}\n", found.drawing);
    }
    let sum = match (mistakes, warnings) {
        (0, 0) => "no mistakes found".into(),
        (0, warnings) => format!("no mistakes found, {}", counted(warnings, "warning")),
        (mistakes, 0) => counted(mistakes, "mistake"),
        (mistakes, warnings) => {
            format!(
                "{}, {}",
                counted(mistakes, "mistake"),
                counted(warnings, "warning")
            )
        }
    };
    if mistakes > 0 || args.deny_warnings && warnings > 0 {
        return super::complain(&sum);
    }
    println!("{sum}");
    exit::OK
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
