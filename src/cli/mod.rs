//! The command line: words, flags, exit codes. The only layer that knows clap.

use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
