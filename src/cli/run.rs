//! `lmrun SCRIPT`: lists or runs the tests of a script.

use super::args::{RunArgs, TESTS};
use super::parameters::{self, UnusedParameter};
use super::stage::Stage;
use super::{complain, exit, print, signals};
use crate::core::Event;
use crate::report::{MAIN, color};
use crate::script::{
    Diagnostic, Host, Program, ScriptParameters, TestFunction, nearest, nearest_few, quoted,
};
use clap::CommandFactory;
use regex::Regex;
use std::path::Path;
use std::time::Instant;

/// The maximum number of tests that an error lists.
const MAX_LISTED: usize = 8;

/// Lists or runs tests and returns the exit code. Rhai's values do not cross threads, so this stays
/// on the thread that calls it.
pub(super) fn run(args: &RunArgs) -> u8 {
    let Some(script) = &args.script else {
        return complain(
            "missing script, such as `lmrun scripts/tests.rhai`; `lmrun --help` shows more",
        );
    };
    let program = match Program::load(script) {
        Ok(program) => program,
        Err(diagnostic) => return show_load_error(script, diagnostic),
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
    let selected = select(&program, &filter);
    if selected.is_empty() {
        show_no_match(&program, script, &args.filter);
        return exit::NO_TEST;
    }
    warn_of_unmatched_names(&program, &args.filter);
    if args.list {
        list(&program, &selected, args);
        return exit::OK;
    }
    let tests: Vec<String> = selected.iter().map(|test| test.name.clone()).collect();
    let unused = match unused_parameters(&program, &tests, args) {
        Ok(unused) => unused,
        Err(problem) => return complain(&problem),
    };
    match Stage::set(args, program.text(), program.folder()) {
        Ok(stage) => TestLoop {
            program: &program,
            tests: &tests,
            unused: &unused,
        }
        .run(stage),
        Err(problem) => complain(&problem),
    }
}

/// Prints tests, one per line, with `-v` also their parameters.
fn list(program: &Program, tests: &[&TestFunction], args: &RunArgs) {
    let parameters = args.shown.is_verbose().then(|| program.parameters());
    let width = tests.iter().map(|test| test.name.len()).max().unwrap_or(0);
    for test in tests {
        let line = format!("{:width$}  {}", test.name, test.claim());
        print::line(line.trim_end());
        if let Some(parameters) = &parameters {
            for line in parameters::lines(parameters, &test.name) {
                print::line(&line);
            }
        }
    }
}

/// Returns the tests that match, or `main` if the script has no test.
fn select<'a>(program: &'a Program, filter: &Regex) -> Vec<&'a TestFunction> {
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

fn show_load_error(script: &Path, diagnostic: Diagnostic) -> u8 {
    let verb = if script.exists() {
        None
    } else {
        verb_like(script)
    };
    let help = verb.map(|verb| format!("did you mean `lmrun {verb}`?"));
    let diagnostic = diagnostic.with_help(help);
    let drawing = diagnostic.draw(|_| std::fs::read_to_string(script).ok(), color());
    eprintln!("{drawing}");
    exit::USAGE
}

/// Returns the verb that is similar to the name of a script.
pub(super) fn verb_like(script: &Path) -> Option<String> {
    let command = super::args::Cli::command();
    let verbs = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .map(clap::Command::get_name);
    nearest(script.to_str()?, verbs).map(str::to_owned)
}

fn show_no_match(program: &Program, script: &Path, filter: &str) {
    let names = test_names(program);
    let help = match names.len() {
        0 => "the script has no test: a public function without parameters, named `test_…`".into(),
        1..=MAX_LISTED => format!("the script has {}", quoted(&names)),
        count => format!(
            "`lmrun {} -l` lists the {count} tests of the script",
            script.display()
        ),
    };
    for part in filter_parts(filter) {
        let near = did_you_mean(part, &names).unwrap_or_else(|| help.clone());
        eprintln!("error: no test matches `{part}`; {near}");
    }
}

/// Warns of names in a filter such as `a|b` that match no test.
fn warn_of_unmatched_names(program: &Program, filter: &str) {
    let parts = filter_parts(filter);
    if parts.len() < 2 {
        return;
    }
    let names = test_names(program);
    for part in parts {
        let matches = Regex::new(part).is_ok_and(|part| names.iter().any(|n| part.is_match(n)));
        if matches {
            continue;
        }
        match did_you_mean(part, &names) {
            Some(near) => eprintln!("warning: no test matches `{part}`; {near}"),
            None => eprintln!("warning: no test matches `{part}`"),
        }
    }
}

fn test_names(program: &Program) -> Vec<&str> {
    let tests = program.tests().iter();
    tests.map(|test| test.name.as_str()).collect()
}

/// Splits a filter such as `a|b` into names. Other regular expressions are one part.
fn filter_parts(filter: &str) -> Vec<&str> {
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

/// Suggests the tests whose names are similar to `part`.
fn did_you_mean(part: &str, names: &[&str]) -> Option<String> {
    let near = nearest_few(part.trim_matches(['^', '$']), names.iter().copied());
    let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}

/// Returns the parameters of `-P` that have no effect on the tests.
///
/// # Errors
/// If the script does not have a parameter.
fn unused_parameters(
    program: &Program,
    tests: &[String],
    args: &RunArgs,
) -> Result<Vec<UnusedParameter>, String> {
    let given: Vec<&str> = args
        .parameters
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    // Finding the parameters is slow in a script of thousands of tests.
    let parameters = if given.is_empty() {
        ScriptParameters::default()
    } else {
        program.parameters()
    };
    match parameters::unknown(&parameters, &given) {
        Some(problem) => Err(problem),
        None => Ok(parameters::not_selected(&parameters, &given, tests)),
    }
}

/// The tests to run.
struct TestLoop<'a> {
    program: &'a Program,
    tests: &'a [String],
    /// Parameters that have no effect on the tests.
    unused: &'a [UnusedParameter],
}

impl TestLoop<'_> {
    /// Runs the tests and returns the exit code.
    fn run(&self, stage: Stage) -> u8 {
        let host = &stage.host;
        let runner = host.runner().clone();
        stage.runtime.spawn(signals::cancel_on_signal(
            stage.cancel.clone(),
            "closing the engines",
            move |text| runner.emit(Event::Warned { text: text.into() }),
        ));
        let mut warnings = self.program.warnings();
        warnings.extend(
            self.unused
                .iter()
                .map(|parameter| parameter.warning.clone()),
        );
        for text in warnings {
            host.runner().emit(Event::Warned { text });
        }
        for test in self.tests {
            if stage.cancel.is_cancelled() {
                break;
            }
            self.run_test(test, host);
        }
        if !stage.cancel.is_cancelled() {
            self.warn_of_unread_parameters(host);
        }
        stage.end()
    }

    fn run_test(&self, test: &str, host: &Host) {
        let start = Instant::now();
        host.runner().emit(Event::TestStarted { test: test.into() });
        let outcome = self.program.run(test, host, color());
        host.runner().emit(Event::TestDone {
            test: test.into(),
            outcome,
            took_s: start.elapsed().as_secs_f64(),
        });
    }

    /// Warns of parameters that no test has read, unless there was a warning before the run.
    fn warn_of_unread_parameters(&self, host: &Host) {
        for (name, text) in host.parameters().unused() {
            if !self.unused.iter().any(|parameter| parameter.name == name) {
                host.runner().emit(Event::Warned { text });
            }
        }
    }
}
