//! `lmrun doctor`: what this machine has for a run.

use super::{complain, exit};
use crate::core::{Code, State, checkup};
use crate::report::{checkup as report, color};
use crate::script;
use clap::Args;
use std::io::Write;

/// What this machine has for a run.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The same as JSON.
    #[arg(long)]
    json: bool,
    /// The ports to ask after.
    #[arg(short, long, num_args = 1.., default_values_t = [8000, 8001])]
    ports: Vec<u16>,
}

/// Looks and shows; 0 unless no run could work.
pub fn run(args: &DoctorArgs) -> u8 {
    let wanted = match script::wanted() {
        Ok(wanted) => wanted,
        Err(e) => {
            eprintln!("error: {e}");
            return exit::BUG;
        }
    };
    let (runtime, watchdogs) = match (super::runtime(), super::watchdogs()) {
        (Ok(runtime), Ok(watchdogs)) => (runtime, watchdogs),
        (Err(problem), _) => return complain(problem),
        (_, Err(problem)) => return complain(&problem),
    };
    let names: Vec<_> = wanted.iter().map(|wanted| wanted.name.as_str()).collect();
    let waiting = report::wait(&format!("asking {} for their versions", names.join(", ")));
    let findings = runtime.block_on(checkup(wanted, &args.ports, watchdogs));
    drop(waiting);
    let text = if args.json {
        report::json(&findings) + "\n"
    } else {
        report::draw(&findings, color(), report::columns())
    };
    // A reader that went away has read enough.
    let _ = write!(std::io::stdout(), "{text}");
    let blocks = findings
        .iter()
        .any(|finding| finding.state == State::Blocking);
    if blocks { Code::Check.exit() } else { exit::OK }
}
