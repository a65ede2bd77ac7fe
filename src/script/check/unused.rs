//! What is there and never used: tests that are none, imports, functions.

use super::Finding;
use super::calls;
use super::reach::{Names, reached};
use crate::script::diagnostic::ScriptError;
use crate::script::source::{Function, Import, ScriptSource, ScriptSources};
use std::collections::BTreeSet;

/// How tests are named.
const TEST: &str = "test_";

/// Functions that are named like tests, are none, and are not called either.
pub fn tests(source: &ScriptSource) -> Vec<Finding> {
    let calls = calls::of(source);
    let is_called = |f: &Function| calls.iter().any(|call| call.expr.name == f.name.as_str());
    let is_lost = |f: &Function| f.name.starts_with(TEST) && !can_run(f);
    let functions = source
        .functions()
        .iter()
        .filter(|f| is_lost(f) && !is_called(f));
    functions.map(lost).collect()
}

/// Whether `-f` can choose it.
fn can_run(f: &Function) -> bool {
    f.is_public && f.params.is_empty()
}

fn lost(f: &Function) -> Finding {
    let (why, help) = if f.is_public {
        (
            "it has parameters",
            "a test has none; `param(\"name\", default)` gives it a value of the command line",
        )
    } else {
        (
            "it is private",
            "a test is public: take `private` away, or give a helper another name",
        )
    };
    let fault = ScriptError::new(format!("`{}` is never run: {why}", f.name))
        .at_word(&f.name)
        .help(help);
    Finding::warning(f.position, fault)
}

/// Imports whose alias stands before no `::`.
pub fn imports(source: &ScriptSource) -> Vec<Finding> {
    let names = Names::of(&source.ast);
    if evaluates(&names) {
        return Vec::new();
    }
    let unused = source
        .imports
        .iter()
        .filter(|(alias, _)| !alias.is_empty() && !names.modules.contains(*alias));
    let finding = |(alias, import): (&String, &Import)| {
        let fault = ScriptError::new(format!(
            "`{}` is imported, and nothing of it used",
            import.path
        ));
        let fault = fault
            .at_word(&import.path)
            .help(format!("take the import away: there is no `{alias}::…`"));
        Finding::warning(import.position, fault)
    };
    unused.map(finding).collect()
}

/// Functions of a script with tests that are reached from none of what `-f` can choose, nor from its
/// statements, nor from what it imports, nor named by the scripts `beside` it.
pub fn functions(
    sources: &ScriptSources,
    path: &str,
    source: &ScriptSource,
    beside: &BTreeSet<String>,
) -> Vec<Finding> {
    let functions = source.functions();
    let has_tests = functions
        .iter()
        .any(|f| f.name.starts_with(TEST) && can_run(f));
    let others = sources.all().filter(|(other, _)| *other != path);
    let known = others
        .flat_map(|(_, other)| Names::of(&other.ast).all)
        .chain(beside.iter().cloned())
        .collect();
    if !has_tests || evaluates(&Names::of(&source.ast)) {
        return Vec::new();
    }
    let reached = reached(source, functions, can_run, known);
    // A test that is none has a finding of its own.
    let unused = functions
        .iter()
        .filter(|f| !reached.contains(&f.name) && !f.name.starts_with(TEST));
    unused.map(idle).collect()
}

fn idle(f: &Function) -> Finding {
    let fault = ScriptError::new(format!("`{}` is never used: no test leads to it", f.name))
        .at_word(&f.name);
    Finding::warning(f.position, fault.help("call it, or take it away"))
}

/// Whether code is run that is a text, which may use anything.
fn evaluates(names: &Names) -> bool {
    names.all.contains("eval")
}
