//! `lmrun check`: the mistakes of scripts that can be found without running them.

use super::exit;
use crate::report::color;
use crate::script::check;
use clap::Args;
use std::path::PathBuf;

/// The mistakes of scripts that can be found without running them.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The scripts; what they import is looked at, too.
    #[arg(value_name = "SCRIPT", required = true)]
    scripts: Vec<PathBuf>,
}

/// Looks and shows; 0 if there is nothing to show.
pub fn run(args: &CheckArgs) -> u8 {
    let mut found = 0;
    for script in &args.scripts {
        for drawing in check(script, color()) {
            found += 1;
            eprintln!("{drawing}\n");
        }
    }
    match found {
        0 => {
            println!("no mistakes found");
            exit::OK
        }
        1 => super::complain("1 mistake"),
        n => super::complain(&format!("{n} mistakes")),
    }
}
