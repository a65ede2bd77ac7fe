//! Functions that Rhai takes for each other.
//!
//! It remembers what a call without `module::` led to by name and number of arguments alone, across the
//! scripts of a run: where two scripts each call a function of their own that is named alike, one may get the
//! other's.

use super::Finding;
use super::calls::{self, Call, Style};
use crate::script::fault::Fault;
use crate::script::source::{Source, Sources};

/// The calls in the script at `path` that may reach another script's function.
pub fn of(sources: &Sources, path: &str, source: &Source) -> Vec<Finding> {
    let others = || sources.all().filter(|(other, _)| *other != path && !other.starts_with("std/"));
    let own = own_calls(source);
    let twin = |call: &Call| others().find(|(_, other)| own_calls(other).iter().any(|it| same(it, call)));
    own.iter().filter_map(|call| Some(finding(call, twin(call)?.0))).collect()
}

/// Calls without `module::` of functions that the script has itself.
fn own_calls(source: &Source) -> Vec<Call> {
    let functions = source.functions();
    let is_own = |call: &Call| {
        let fits = |name: &str, count: usize| call.expr.name == name && call.expr.args.len() == count;
        functions.iter().any(|f| fits(&f.name, f.params.len()))
    };
    let plain = |call: &Call| call.style == Style::Function && call.namespace().is_none();
    calls::of(source).into_iter().filter(|call| plain(call) && is_own(call)).collect()
}

fn same(one: &Call, other: &Call) -> bool {
    one.expr.name == other.expr.name && one.expr.args.len() == other.expr.args.len()
}

fn finding(call: &Call, other: &str) -> Finding {
    let name = call.expr.name.as_str();
    let fault = Fault::new(format!("`{name}` may be that of `{other}`, which calls one named alike"))
        .at_word(name)
        .help("give one of the two another name: Rhai keeps calls without a module apart by name only");
    Finding { position: call.position, fault }
}
