//! Functions that Rhai may confuse.
//!
//! Rhai caches calls without `module::` by name and number of arguments only, across the scripts of
//! a run. If two scripts each call their own function of the same name, one may get the function of
//! the other. A test ensures that the functions of the library have unique names.

use super::calls::{self, ScriptCall, Style};
use super::finding::ScriptFinding;
use crate::script::diagnostic::{Place, ScriptError};
use crate::script::source::{ScriptSource, ScriptSources};

/// A call, and a call of the same name in another script.
struct Clash<'a> {
    call: ScriptCall,
    other: ScriptCall,
    other_path: &'a str,
    other_source: &'a ScriptSource,
}

/// Returns the calls in the script at `path` that may reach the function of another script.
pub(super) fn find(
    sources: &ScriptSources,
    path: &str,
    source: &ScriptSource,
) -> Vec<ScriptFinding> {
    clashes(sources, path, source).iter().map(finding).collect()
}

/// Returns the warning before a run of `sources`; `None` if no two functions can be confused.
pub(super) fn warning(sources: &ScriptSources) -> Option<String> {
    for (path, source) in sources.own() {
        if let Some(clash) = clashes(sources, path, source).first() {
            return Some(format!(
                "`{}` at {} and at {} may be confused, because Rhai caches calls without a module by \
                 name only: rename one of the two functions (`lmrun check` lists all such calls)",
                clash.call.expr.name,
                place(source, &clash.call),
                place(clash.other_source, &clash.other),
            ));
        }
    }
    None
}

fn place(source: &ScriptSource, call: &ScriptCall) -> Place {
    Place {
        file: source.title.clone(),
        position: call.position,
    }
}

fn clashes<'a>(sources: &'a ScriptSources, path: &str, source: &ScriptSource) -> Vec<Clash<'a>> {
    let mut others = Vec::new();
    for (other_path, other) in sources.all() {
        // A copy of the script does not count: a script that imports itself, or a file of the
        // library.
        if other_path != path && other.text != source.text {
            others.push((other_path, other, own_calls(other)));
        }
    }
    let mut clashes = Vec::new();
    for call in own_calls(source) {
        for (other_path, other_source, calls) in &others {
            if let Some(other) = calls.iter().find(|other| is_same(other, &call)) {
                clashes.push(Clash {
                    call: call.clone(),
                    other: other.clone(),
                    other_path,
                    other_source,
                });
                break;
            }
        }
    }
    clashes
}

/// The calls without `module::` of functions of the script itself.
fn own_calls(source: &ScriptSource) -> Vec<ScriptCall> {
    let mut own = calls::find(source);
    own.retain(|call| {
        let is_plain = call.style == Style::Function && call.namespace().is_none();
        let arity = call.expr.args.len();
        is_plain
            && source
                .functions()
                .iter()
                .any(|f| call.expr.name == f.name.as_str() && arity == f.params.len())
    });
    own
}

fn is_same(one: &ScriptCall, other: &ScriptCall) -> bool {
    one.expr.name == other.expr.name && one.expr.args.len() == other.expr.args.len()
}

fn finding(clash: &Clash<'_>) -> ScriptFinding {
    let name = clash.call.expr.name.as_str();
    let message = format!(
        "`{name}` may call the function of `{}`, which calls its own `{name}`",
        clash.other_path
    );
    let fault = ScriptError::new(message)
        .at_word(name)
        .help("rename one of the two: Rhai caches calls without a module by name only");
    ScriptFinding::warning(clash.call.position, fault)
}
