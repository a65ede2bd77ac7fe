//! `lmrun SCRIPT`: list or run the tests of a script.

use super::args::RunArgs;
use super::stage::Stage;
use super::{complain, exit, signals};
use crate::bench::Event;
use crate::report::color;
use crate::script::{Diagnosis, Host, Program, nearest};
use regex::Regex;
use std::io::Write;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Lists or runs; returns the exit code. Rhai values do not cross threads, so this stays on the
/// thread that it is called on.
pub fn run(args: &RunArgs) -> u8 {
    let Some(script) = &args.script else {
        return complain("which script? For example `lmrun scripts/tests.rhai`, and `lmrun --help` for more");
    };
    let program = match Program::load(script) {
        Ok(program) => program,
        Err(diagnosis) => return refuse(script, &diagnosis),
    };
    let filter = match Regex::new(&args.filter) {
        Ok(filter) => filter,
        Err(e) => return complain(&format!("`-f {}` is not a regular expression: {e}", args.filter)),
    };
    let tests: Vec<_> = program.tests().iter().filter(|test| filter.is_match(&test.name)).collect();
    if tests.is_empty() {
        return no_test(&program, &args.filter);
    }
    if args.list {
        let width = tests.iter().map(|test| test.name.len()).max().unwrap_or(0);
        for test in tests {
            let line = format!("{:width$}  {}", test.name, test.claim());
            // A reader that went away has read enough.
            let _ = writeln!(std::io::stdout(), "{}", line.trim_end());
        }
        return exit::OK;
    }
    let names: Vec<String> = tests.iter().map(|test| test.name.clone()).collect();
    match Stage::set(args, program.text(), program.folder()) {
        Ok(stage) => perform(stage, &program, &names),
        Err(problem) => complain(&problem),
    }
}

fn refuse(script: &std::path::Path, diagnosis: &Diagnosis) -> u8 {
    let source = |_: &str| std::fs::read_to_string(script).ok();
    eprintln!("{}", diagnosis.draw(source, color()));
    exit::USAGE
}

fn no_test(program: &Program, filter: &str) -> u8 {
    let names = program.tests().iter().map(|test| test.name.as_str());
    let hint = match nearest(filter, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the script has {}", names.collect::<Vec<_>>().join(", ")),
    };
    eprintln!("error: no test matches `{filter}`; {hint}");
    exit::NO_TEST
}

/// Runs the tests.
fn perform(stage: Stage, program: &Program, tests: &[String]) -> u8 {
    stage.runtime.spawn(signals::heed(stage.cancel.clone(), "closing the engines"));
    run_tests(program, tests, &stage.host, &stage.cancel);
    stage.end()
}

fn run_tests(program: &Program, tests: &[String], host: &Host, cancel: &CancellationToken) {
    for test in tests.iter().take_while(|_| !cancel.is_cancelled()) {
        let began = Instant::now();
        host.bench().emit(Event::TestStarted { test: test.clone() });
        let outcome = program.run(test, host, color());
        let took_s = began.elapsed().as_secs_f64();
        host.bench().emit(Event::TestDone { test: test.clone(), outcome, took_s });
    }
    if !cancel.is_cancelled() {
        host.parameters().unused().into_iter().for_each(|text| host.bench().emit(Event::Warned { text }));
    }
}
