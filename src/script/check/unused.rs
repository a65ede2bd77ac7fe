//! Tests that are never run.

use super::Finding;
use super::calls;
use crate::script::fault::Fault;
use crate::script::source::{Function, Source};

/// Functions that are named like tests, are none, and are not called either.
pub fn tests(source: &Source) -> Vec<Finding> {
    let calls = calls::of(source);
    let is_called = |f: &Function| calls.iter().any(|call| call.expr.name == f.name.as_str());
    let is_lost = |f: &Function| f.name.starts_with("test_") && (!f.is_public || !f.params.is_empty());
    let functions = source.functions().into_iter().filter(|f| is_lost(f) && !is_called(f));
    functions.map(|f| finding(&f)).collect()
}

fn finding(f: &Function) -> Finding {
    let (why, help) = if f.is_public {
        (
            "it has parameters",
            "a test has none; `param(\"name\", default)` gives it a value of the command line",
        )
    } else {
        ("it is private", "a test is public: take `private` away, or give a helper another name")
    };
    let fault = Fault::new(format!("`{}` is never run: {why}", f.name)).at_word(&f.name).help(help);
    Finding { position: f.position, fault }
}
