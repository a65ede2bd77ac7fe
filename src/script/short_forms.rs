//! Optional options: a function of the library whose last parameter is `options` can be called
//! without it.

use regex::Regex;
use rhai::{AST, ParseError};
use std::sync::LazyLock;

/// The parameter that callers may omit.
pub(crate) const OPTIONAL: &str = "options";

/// The header of a public function whose last parameter is `options`.
static HEADER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^fn (\w+)\((?:(.*), )?options\) \{").expect("a valid pattern")
});

/// Adds the form without `options` of each function that has one. `text` is the script of `ast`.
///
/// The short form has the body of the function, as a call of the other form would be ambiguous:
/// Rhai caches calls without a module by name only, across modules.
pub(crate) fn add_short_forms(
    engine: &rhai::Engine,
    text: &str,
    ast: &mut AST,
) -> Result<(), ParseError> {
    let mut short_forms: Vec<(String, usize)> = Vec::new();
    for f in ast.iter_fn_def() {
        if f.params.last().is_some_and(|param| param == OPTIONAL) {
            short_forms.push((f.name.to_string(), f.params.len() - 1));
        }
    }
    let mut short = engine.compile(HEADER.replace_all(text, "fn $1($2) { let options = #{};"))?;
    short.clear_statements();
    short.retain_functions(|_, _, name, arity| {
        short_forms
            .iter()
            .any(|form| form.0 == name && form.1 == arity)
    });
    ast.combine(short);
    Ok(())
}
