//! `lmrun SCRIPT`: list or run the tests of a script.

use super::args::{RunArgs, TESTS};
use super::parameters::Idle;
use super::stage::Stage;
use super::{complain, exit, parameters, signals};
use crate::core::Event;
use crate::report::{MAIN, color};
use crate::script::{
    Declared, Diagnosis, Host, Program, TestFunction, nearest, nearest_few, quoted,
};
use clap::CommandFactory;
use regex::Regex;
use std::io::Write;
use std::path::Path;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Lists or runs; returns the exit code. Rhai values do not cross threads, so this stays on the
/// thread that it is called on.
pub fn run(args: &RunArgs) -> u8 {
    let Some(script) = &args.script else {
        return complain(
            "which script? For example `lmrun scripts/tests.rhai`, and `lmrun --help` for more",
        );
    };
    let program = match Program::load(script) {
        Ok(program) => program,
        Err(diagnosis) => return refuse(script, diagnosis),
    };
    let filter = match Regex::new(&args.filter) {
        Ok(filter) => filter,
        Err(e) => {
            return complain(&format!(
                "`-f {}` is not a regular expression: {e}",
                args.filter
            ));
        }
    };
    let tests = chosen(&program, &filter);
    if tests.is_empty() {
        return no_test(&program, script, &args.filter);
    }
    warn_of_missed(&program, &args.filter);
    if args.list {
        let declared = args.shown.is_verbose().then(|| program.parameters());
        list(&tests, declared.as_ref());
        return exit::OK;
    }
    let names: Vec<String> = tests.iter().map(|test| test.name.clone()).collect();
    let given: Vec<&str> = args
        .parameters
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    // The search takes a while in a script of thousands of tests.
    let declared = if given.is_empty() {
        Declared::default()
    } else {
        program.parameters()
    };
    if let Some(problem) = parameters::unknown(&declared, &given) {
        return complain(&problem);
    }
    let idle = parameters::not_selected(&declared, &given, &names);
    match Stage::set(args, program.text(), program.folder()) {
        Ok(stage) => perform(stage, &program, &names, &idle),
        Err(problem) => complain(&problem),
    }
}

/// Prints the tests, one per line; below each its parameters, with their defaults, if those are `shown`.
fn list(tests: &[&TestFunction], shown: Option<&Declared>) {
    let width = tests.iter().map(|test| test.name.len()).max().unwrap_or(0);
    let lines = tests.iter().flat_map(|test| {
        let line = format!("{:width$}  {}", test.name, test.claim())
            .trim_end()
            .to_owned();
        std::iter::once(line).chain(
            shown
                .into_iter()
                .flat_map(|shown| parameters::lines(shown, &test.name)),
        )
    });
    for line in lines {
        // A reader that has closed the pipe has read enough.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// The tests that match; where a script has no test at all, its `main`.
fn chosen<'a>(program: &'a Program, filter: &Regex) -> Vec<&'a TestFunction> {
    let all = program.tests();
    let matching: Vec<_> = all
        .iter()
        .filter(|test| filter.is_match(&test.name))
        .collect();
    if !matching.is_empty() || filter.as_str() != TESTS {
        return matching;
    }
    all.iter().filter(|test| test.name == MAIN).collect()
}

fn refuse(script: &Path, diagnosis: Diagnosis) -> u8 {
    let help = if script.exists() {
        None
    } else {
        verb_like(script)
    };
    let diagnosis = diagnosis.with_help(help.map(|verb| format!("did you mean `lmrun {verb}`?")));
    let source = |_: &str| std::fs::read_to_string(script).ok();
    eprintln!("{}", diagnosis.draw(source, color()));
    exit::USAGE
}

/// The verb that was meant, where a script's name looks like one.
pub fn verb_like(script: &Path) -> Option<String> {
    let command = super::args::Cli::command();
    let verbs = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .map(clap::Command::get_name);
    nearest(script.to_str()?, verbs).map(str::to_owned)
}

/// More tests than these are counted, not named.
const FEW: usize = 8;

fn no_test(program: &Program, script: &Path, filter: &str) -> u8 {
    let names: Vec<&str> = program
        .tests()
        .iter()
        .map(|test| test.name.as_str())
        .collect();
    let rest = match names.len() {
        0 => "the script has no test: a public function without parameters, named `test_…`".into(),
        1..=FEW => format!("the script has {}", quoted(&names)),
        count => format!(
            "`lmrun {} -l` lists the script's {count} tests",
            script.display()
        ),
    };
    for part in parts(filter) {
        eprintln!(
            "error: {}",
            missed(part, &names).unwrap_or_else(|| format!("no test matches `{part}`; {rest}"))
        );
    }
    exit::NO_TEST
}

/// Says which of several names that `-f` gives match nothing, where others do.
fn warn_of_missed(program: &Program, filter: &str) {
    let names: Vec<&str> = program
        .tests()
        .iter()
        .map(|test| test.name.as_str())
        .collect();
    let matches = |part: &str| {
        Regex::new(part).is_ok_and(|part| names.iter().any(|name| part.is_match(name)))
    };
    let several = Some(parts(filter))
        .filter(|parts| parts.len() > 1)
        .unwrap_or_default();
    for part in several.into_iter().filter(|part| !matches(part)) {
        eprintln!(
            "warning: {}",
            missed(part, &names).unwrap_or_else(|| format!("no test matches `{part}`"))
        );
    }
}

/// The names in a filter such as `a|b`; one that is more than names is one part.
fn parts(filter: &str) -> Vec<&str> {
    let is_plain = !filter.is_empty()
        && filter
            .chars()
            .all(|c| c.is_alphanumeric() || "_|^$".contains(c));
    if is_plain {
        filter.split('|').filter(|part| !part.is_empty()).collect()
    } else {
        vec![filter]
    }
}

/// That `part` matches no test, and what may have been meant.
fn missed(part: &str, names: &[&str]) -> Option<String> {
    let near = nearest_few(part.trim_matches(['^', '$']), names.iter().copied());
    let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    (!near.is_empty()).then(|| {
        format!(
            "no test matches `{part}`; did you mean {}?",
            near.join(" or ")
        )
    })
}

/// Runs the tests. `idle` are the parameters that have no effect on them.
fn perform(stage: Stage, program: &Program, tests: &[String], idle: &[Idle]) -> u8 {
    let runner = stage.host.runner().clone();
    let tell = move |text: &str| runner.emit(Event::Warned { text: text.into() });
    stage.runtime.spawn(signals::heed(
        stage.cancel.clone(),
        "closing the engines",
        tell,
    ));
    for text in program
        .warnings()
        .into_iter()
        .chain(idle.iter().map(|idle| idle.warning.clone()))
    {
        stage.host.runner().emit(Event::Warned { text });
    }
    run_tests(program, tests, &stage.host, &stage.cancel);
    if !stage.cancel.is_cancelled() {
        let told = |name: &str| idle.iter().any(|idle| idle.name == name);
        for (_, text) in stage
            .host
            .parameters()
            .unused()
            .into_iter()
            .filter(|(name, _)| !told(name))
        {
            stage.host.runner().emit(Event::Warned { text });
        }
    }
    stage.end()
}

fn run_tests(program: &Program, tests: &[String], host: &Host, cancel: &CancellationToken) {
    for test in tests.iter().take_while(|_| !cancel.is_cancelled()) {
        let began = Instant::now();
        host.runner()
            .emit(Event::TestStarted { test: test.clone() });
        let outcome = program.run(test, host, color());
        let took_s = began.elapsed().as_secs_f64();
        host.runner().emit(Event::TestDone {
            test: test.clone(),
            outcome,
            took_s,
        });
    }
}
