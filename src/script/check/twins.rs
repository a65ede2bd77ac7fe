//! Functions that Rhai takes for each other.
//!
//! It remembers what a call without `module::` led to by name and number of arguments alone, across the
//! scripts of a run: where two scripts each call a function of their own that is named alike, one may get the
//! other's. The library's own functions have names of their own, which a test sees to.

use super::Finding;
use super::calls::{self, Call, Style};
use crate::script::diagnostic::{Place, ScriptError};
use crate::script::source::{ScriptSource, ScriptSources};

/// Two calls, the other one in another script.
struct Twins<'a> {
    call: Call,
    other: Call,
    path: &'a str,
    source: &'a ScriptSource,
}

/// The calls in the script at `path` that may reach another script's function.
pub fn of(sources: &ScriptSources, path: &str, source: &ScriptSource) -> Vec<Finding> {
    pairs(sources, path, source)
        .into_iter()
        .map(|twins| finding(&twins))
        .collect()
}

/// Returns the warning before a run of `sources`; `None` if no two functions can be confused.
pub fn warning(sources: &ScriptSources) -> Option<String> {
    let (source, twins) = sources
        .own()
        .flat_map(|(path, source)| {
            pairs(sources, path, source)
                .into_iter()
                .map(move |it| (source, it))
        })
        .next()?;
    let place = |source: &ScriptSource, call: &Call| Place {
        file: source.title.clone(),
        position: call.position,
    };
    Some(format!(
        "`{}` at {} and at {} may be taken for each other, as Rhai keeps calls without a module apart by name \
         only: give one of the two functions another name (`lmrun check` shows all such)",
        twins.call.expr.name,
        place(source, &twins.call),
        place(twins.source, &twins.other),
    ))
}

fn pairs<'a>(sources: &'a ScriptSources, path: &str, source: &ScriptSource) -> Vec<Twins<'a>> {
    // A copy of it is no other: a script that imports itself, or a file of the library.
    let others = sources
        .all()
        .filter(|(other, it)| *other != path && it.text != source.text);
    let others: Vec<_> = others
        .map(|(path, source)| (path, source, own_calls(source)))
        .collect();
    let twin = |call: Call| {
        let (path, source, other) = others.iter().find_map(|(path, source, calls)| {
            Some((
                path,
                source,
                calls.iter().find(|it| same(it, &call))?.clone(),
            ))
        })?;
        Some(Twins {
            call,
            other,
            path,
            source,
        })
    };
    own_calls(source).into_iter().filter_map(twin).collect()
}

/// Calls without `module::` of functions that the script has itself.
fn own_calls(source: &ScriptSource) -> Vec<Call> {
    let functions = source.functions();
    let is_own = |call: &Call| {
        let fits =
            |name: &str, count: usize| call.expr.name == name && call.expr.args.len() == count;
        functions.iter().any(|f| fits(&f.name, f.params.len()))
    };
    let plain = |call: &Call| call.style == Style::Function && call.namespace().is_none();
    calls::of(source)
        .into_iter()
        .filter(|call| plain(call) && is_own(call))
        .collect()
}

fn same(one: &Call, other: &Call) -> bool {
    one.expr.name == other.expr.name && one.expr.args.len() == other.expr.args.len()
}

fn finding(twins: &Twins<'_>) -> Finding {
    let name = twins.call.expr.name.as_str();
    let message = format!(
        "`{name}` may be that of `{}`, which calls one named alike",
        twins.path
    );
    let fault = ScriptError::new(message).at_word(name).help(
        "give one of the two another name: Rhai keeps calls without a module apart by name only",
    );
    Finding::warning(twins.call.position, fault)
}
