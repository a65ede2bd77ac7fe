//! Unused code: tests that cannot run, imports, functions.

use super::calls;
use super::finding::ScriptFinding;
use super::reachability::{MentionedNames, reachable};
use super::symbols::Symbols;
use crate::script::diagnostic::ScriptError;
use crate::script::source::{Function, ScriptSource};
use std::collections::BTreeSet;

/// The prefix of the names of tests.
const TEST: &str = "test_";

/// Returns a warning for each function that is named like a test but cannot run, and is never
/// called.
pub(super) fn tests(source: &ScriptSource) -> Vec<ScriptFinding> {
    let calls = calls::find(source);
    let mut findings = Vec::new();
    for f in source.functions() {
        let is_called = calls.iter().any(|call| call.expr.name == f.name.as_str());
        if f.name.starts_with(TEST) && !can_run(f) && !is_called {
            findings.push(never_run(f));
        }
    }
    findings
}

/// Returns true if `-f` can select the function.
fn can_run(f: &Function) -> bool {
    f.is_public && f.params.is_empty()
}

fn never_run(f: &Function) -> ScriptFinding {
    let why = if f.is_public {
        "it has parameters"
    } else {
        "it is private"
    };
    let help = if f.is_public {
        "a test takes none; `param(\"name\", default)` reads a value of the command line"
    } else {
        "remove `private` if it is a test, else rename it"
    };
    let fault = ScriptError::new(format!("`{}` is never run: {why}", f.name))
        .at_word(&f.name)
        .help(help);
    ScriptFinding::warning(f.position, fault)
}

/// Returns a warning for each import whose alias is never used before `::`.
pub(super) fn imports(source: &ScriptSource) -> Vec<ScriptFinding> {
    let names = MentionedNames::in_code(&source.ast);
    if evaluates(&names) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (alias, import) in &source.imports {
        if !alias.is_empty() && !names.modules.contains(alias) {
            let fault = ScriptError::new(format!("unused import `{}`", import.path))
                .at_word(&import.path)
                .help(format!("remove it: nothing uses `{alias}::`"));
            findings.push(ScriptFinding::warning(import.position, fault));
        }
    }
    findings
}

/// Returns a warning for each function of a script with tests that is not reachable from a function
/// that `-f` can select, from code outside of functions, from imports, or from `other_names`.
pub(super) fn functions(
    symbols: &Symbols<'_>,
    other_names: &BTreeSet<String>,
) -> Vec<ScriptFinding> {
    let source = symbols.source;
    let functions = source.functions();
    let has_tests = functions
        .iter()
        .any(|f| f.name.starts_with(TEST) && can_run(f));
    if !has_tests || evaluates(&MentionedNames::in_code(&source.ast)) {
        return Vec::new();
    }
    let mut known = other_names.clone();
    for (path, other) in symbols.sources.all() {
        if path != symbols.path {
            known.extend(MentionedNames::in_code(&other.ast).all);
        }
    }
    let reached = reachable(source, can_run, known);
    // `tests` warns of functions that are named like tests.
    let unused = functions
        .iter()
        .filter(|f| !reached.contains(&f.name) && !f.name.starts_with(TEST));
    unused.map(never_used).collect()
}

fn never_used(f: &Function) -> ScriptFinding {
    let fault = ScriptError::new(format!("`{}` is never used: no test calls it", f.name))
        .at_word(&f.name)
        .help("call or remove it");
    ScriptFinding::warning(f.position, fault)
}

/// Returns true if the script runs strings as code, which may use any function.
fn evaluates(names: &MentionedNames) -> bool {
    names.all.contains("eval")
}
