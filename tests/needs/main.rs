//! Tests that need programs or rights that a machine may lack: a browser, a Docker daemon, a real engine.
//!
//! The built-in harness knows at compile time which tests it ignores. This one reports a test as ignored if
//! one of its needs is missing. With `LMRUN_REQUIRE_<NEED>=1` such a test fails.
//!
//! The tests run one after another: engines need all cores, and their ports are fixed.

#[allow(dead_code, unused_imports, reason = "`tests/main.rs` uses all of it")]
#[path = "../common/mod.rs"]
mod common;
mod containers;
mod exports;
mod mounts;
mod need;
mod peers;
mod real_engines;
mod report;
mod tmux;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    need::check_requirements();
    let arguments = Arguments::from_args();
    let arguments = Arguments {
        test_threads: arguments.test_threads.or(Some(1)),
        ..arguments
    };
    let tests: Vec<Trial> = [
        containers::tests(),
        exports::tests(),
        mounts::tests(),
        need::tests(),
        peers::tests(),
        real_engines::tests(),
        report::tests(),
        tmux::tests(),
    ]
    .into_iter()
    .flatten()
    .collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}
