//! `lmrun doctor`: checks this machine.

use super::{complain, exit, print};
use crate::core::{Code, FindingState, diagnose};
use crate::report::{color, doctor};
use crate::script;
use clap::Args;

/// Arguments of `lmrun doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Ports to check.
    #[arg(short, long, num_args = 1.., default_values_t = [8000, 8001])]
    ports: Vec<u16>,
}

/// Checks the machine, shows the findings and returns the exit code.
pub(super) fn run(args: &DoctorArgs) -> u8 {
    let programs = match script::doctor_programs() {
        Ok(programs) => programs,
        Err(e) => {
            eprintln!("error: {e}");
            return exit::BUG;
        }
    };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(problem) => return complain(problem),
    };
    let watchdogs = match super::watchdogs() {
        Ok(watchdogs) => watchdogs,
        Err(problem) => return complain(&problem),
    };
    let names: Vec<_> = programs
        .iter()
        .map(|program| program.name.as_str())
        .collect();
    let waiting = doctor::wait(&format!("asking {} for their versions", names.join(", ")));
    let findings = runtime.block_on(diagnose(programs, &args.ports, watchdogs));
    drop(waiting);
    let text = if args.json {
        doctor::json(&findings) + "\n"
    } else {
        doctor::draw(&findings, color(), doctor::columns())
    };
    print::text(&text);
    let blocks = findings
        .iter()
        .any(|finding| finding.state == FindingState::Blocking);
    if blocks { Code::Check.exit() } else { exit::OK }
}
