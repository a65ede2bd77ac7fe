//! Advice for errors of Rhai itself: similar names, usage, and equivalents of other languages.

use super::api;
use super::catalog::{Catalog, Home, Item, ItemKind};
use super::diagnostic::Diagnostic;
use super::modules::{Modules, STD, alias};
use super::suggest::{look_up, nearest};
use regex::Regex;
use rhai::AST;

/// Adds advice to a runtime error without any. Suggests functions of `ast` and `modules`.
pub(crate) fn with_hint(diagnostic: Diagnostic, ast: &AST, modules: &Modules) -> Diagnostic {
    if diagnostic.help.is_some() {
        return diagnostic;
    }
    let message = diagnostic.message.as_str();
    let help = match (&diagnostic.called, message.split_once(": ")) {
        (Some(called), _) => Some(look_up(called)),
        (None, Some(("function not found", call))) => Some(unknown_function(call, ast, modules)),
        (None, Some(("variable not found", name))) if name.contains("::") => {
            Some(format!("call the function with its arguments: `{name}(…)`"))
        }
        _ => wrong_value(message).or_else(|| runtime_error(message).map(str::to_owned)),
    };
    diagnostic.with_help(help)
}

/// Adds advice to the error of a script `text` that does not compile.
pub(crate) fn with_compile_hint(diagnostic: Diagnostic, text: &str) -> Diagnostic {
    let message = diagnostic.message.as_str();
    let habit = diagnostic
        .split_line(text)
        .and_then(|(before, rest)| other_language(message, before, rest));
    let help = match habit {
        Some(habit) => Some(habit.to_owned()),
        None => undefined_name(message, text),
    };
    diagnostic.with_help(help)
}

/// Returns advice for an undefined module or variable of a script.
fn undefined_name(message: &str, text: &str) -> Option<String> {
    let (problem, name) = message.split_once(": ")?;
    let (declaration, otherwise) = match problem {
        "undefined module" => (r#"(?m)^\s*import\s+"[^"]*"\s+as\s+(\w+)"#, import(name)),
        "undefined variable" => (
            r"\b(?:let|const|for)\s+(\w+)",
            "declare it with `let` first; a function sees only its own variables".into(),
        ),
        _ => return None,
    };
    let declared = captures(declaration, text);
    match nearest(name, declared.iter().map(String::as_str)) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => Some(otherwise),
    }
}

fn import(module: &str) -> String {
    let known = STD.iter().find(|(path, _)| alias(path) == module);
    let path = known.map_or("…", |(path, _)| path);
    format!("import it at the top: `import \"{path}\" as {module};`")
}

/// Returns the first group of each match of a pattern.
fn captures(pattern: &str, text: &str) -> Vec<String> {
    let Ok(pattern) = Regex::new(pattern) else {
        return Vec::new();
    };
    pattern
        .captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

/// Returns advice for a call such as `start (i64)`, `load::dumy (map)` or the method
/// `clos (Engine)`.
fn unknown_function(call: &str, ast: &AST, modules: &Modules) -> String {
    let (name, arguments) = call.split_once(" (").unwrap_or((call, ""));
    let catalog = Catalog::read();
    let kind = arguments.split([',', ')']).next().unwrap_or_default();
    let methods: Vec<&Item> = items_of_type(&catalog, kind)
        .filter(|item| item.kind == ItemKind::Method)
        .collect();
    if let Some(method) = methods.iter().find(|method| method.name == name) {
        return usage(&[method]);
    }
    let functions: Vec<&Item> = catalog
        .items
        .iter()
        .filter(|item| item.title() == name)
        .collect();
    if !functions.is_empty() {
        return usage(&functions);
    }
    let in_modules = modules.function_names();
    let known: Vec<&str> = if name.contains("::") {
        in_modules.iter().map(String::as_str).collect()
    } else {
        let own = ast.iter_functions().map(|function| function.name);
        own.chain(api::GLOBALS).collect()
    };
    if known.contains(&name) {
        return format!("`{name}` takes different arguments");
    }
    if let Some(method) = nearest(name, methods.iter().map(|method| method.name.as_str())) {
        return format!("did you mean `{kind}.{method}`?");
    }
    let without_module = in_modules
        .iter()
        .find(|known| known.rsplit("::").next() == Some(name));
    let near = nearest(name, known).or(without_module.map(String::as_str));
    if let Some(near) = near {
        format!("did you mean `{near}`?")
    } else if arguments.contains("()") {
        "the value is missing (`()`); use `x ?? 0` to supply a default".into()
    } else if !methods.is_empty() {
        members(kind)
    } else {
        "`lmrun api` lists what scripts can call".into()
    }
}

fn members(kind: &str) -> String {
    format!("`lmrun api {kind}` lists its properties and methods")
}

/// Returns advice for an unknown property, and for an index of the wrong type.
fn wrong_value(message: &str) -> Option<String> {
    let catalog = Catalog::read();
    if let Some(call) = message.strip_prefix("indexer unavailable: ") {
        let kind = call.split([' ', '[']).next()?;
        let indexers: Vec<&Item> = items_of_type(&catalog, kind)
            .filter(|item| item.kind == ItemKind::Index)
            .collect();
        return (!indexers.is_empty()).then(|| usage(&indexers));
    }
    let property = message.strip_prefix("unknown property `")?;
    let (kind, name) = property.trim_end_matches('`').split_once('.')?;
    let names: Vec<&str> = items_of_type(&catalog, kind)
        .map(|item| item.name.as_str())
        .collect();
    match nearest(name, names.iter().copied()) {
        Some(near) => Some(format!("did you mean `{kind}.{near}`?")),
        None => (!names.is_empty()).then(|| members(kind)),
    }
}

fn items_of_type<'c>(catalog: &'c Catalog, kind: &str) -> impl Iterator<Item = &'c Item> {
    catalog
        .items
        .iter()
        .filter(move |item| matches!(&item.home, Home::Type(home) if home == kind))
}

fn usage(items: &[&Item]) -> String {
    let mut forms = Vec::new();
    for item in items {
        for signature in &item.signatures {
            forms.push(format!("`{}`", item.declaration(signature)));
        }
    }
    format!("usage: {}", forms.join(" or "))
}

/// Returns advice for errors of Rhai that name nothing unknown.
fn runtime_error(message: &str) -> Option<&'static str> {
    let hints = [
        (
            "property not found",
            "`map.keys()` lists the keys of a map, `\"key\" in map` tests for one",
        ),
        (
            "array index",
            "the first element has index 0, the last `len() - 1` or -1",
        ),
        ("division by zero", "test the divisor first"),
        ("error parsing", "expected a string of digits"),
        (
            "output type incorrect",
            "the function given to `filter` must return `true` or `false`",
        ),
        ("stack overflow", "a function calls itself without end"),
    ];
    hints
        .iter()
        .find(|(start, _)| message.starts_with(start))
        .map(|(_, hint)| *hint)
}

/// Returns the equivalent of what Python or Rust would write. The line of the error is `before`
/// and, from its place on, `rest`.
fn other_language(message: &str, before: &str, rest: &str) -> Option<&'static str> {
    match message.split_once(": ") {
        Some(("undefined variable", name)) => {
            let after = rest.strip_prefix(name).unwrap_or_default();
            foreign_word(name).or_else(|| foreign_syntax(before.trim_end(), after))
        }
        Some(("unknown operator", "'++'")) => Some("write `x += 1`"),
        Some(("unknown operator", "'--'")) => Some("write `x -= 1`"),
        Some(("invalid character", _)) => {
            Some("strings are in double quotes; single quotes hold one character")
        }
        _ if message.starts_with("'#' is a reserved symbol") => {
            Some("comments begin with `//`, maps with `#{`")
        }
        _ if message.starts_with("expecting") => foreign_token(rest),
        _ => None,
    }
}

/// Returns the equivalent of a word of another language.
fn foreign_word(name: &str) -> Option<&'static str> {
    let hint = match name {
        "None" | "null" | "nil" | "nullptr" => "a missing value is `()`",
        "True" | "False" => "write `true` or `false`",
        "not" => "`!` negates: `!found`",
        "def" | "func" | "function" => "functions are written `fn name() { … }`",
        "elif" => "write `else if`",
        "from" => "`import \"std/sim\" as sim;` imports a module, to be used as `sim::engine()`",
        "lambda" => "functions without a name are written `|x| x + 1`",
        "assert" => "`check::that(condition, \"claim\")` checks a claim",
        "pass" => "an empty block is `{ }`",
        "except" | "raise" => {
            "errors are thrown with `throw`, and caught with `try { … } catch (e) { … }`"
        }
        _ => return None,
    };
    Some(hint)
}

/// Returns the equivalent of other syntax around an undefined variable.
fn foreign_syntax(before: &str, after: &str) -> Option<&'static str> {
    let next = after.trim_start();
    if before.ends_with("import") {
        Some("write the path and a name: `import \"std/sim\" as sim;`")
    } else if after.starts_with(['"', '\'']) {
        Some("strings that contain values are in backticks: `${x} s`")
    } else if next.starts_with(':') && !next.starts_with("::") {
        Some("maps begin with `#{`")
    } else if next.starts_with('=') && !next.starts_with("==") && before.ends_with(['(', ',']) {
        Some("options are given as a map: `#{ requests: 3 }`")
    } else {
        None
    }
}

/// Returns the equivalent of an unexpected token at the start of `rest`.
fn foreign_token(rest: &str) -> Option<&'static str> {
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
    match word.as_str() {
        "and" => Some("write `&&`"),
        "or" => Some("write `||`"),
        "if" => Some("conditional values are written `if a { 1 } else { 2 }`"),
        "" if rest.starts_with(':') => Some("blocks are in braces: `if … { … }`, `for … { … }`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::language::compiler;

    fn compile_hint(text: &str) -> Option<String> {
        let error = compiler().compile(text).expect_err(text);
        with_compile_hint(Diagnostic::from_error(&error.into(), "s"), text).help
    }

    #[test]
    fn syntax_of_other_languages_gets_its_equivalent() {
        for (text, hint) in [
            ("let x = None;", "a missing value is `()`"),
            ("let x = True;", "write `true` or `false`"),
            ("if not 1 == 2 { }", "`!` negates: `!found`"),
            ("if 1 == 1 and 2 == 2 { }", "write `&&`"),
            ("if 1 == 1 or 2 == 2 { }", "write `||`"),
            (
                "if 1 == 1: print(1)",
                "blocks are in braces: `if … { … }`, `for … { … }`",
            ),
            (
                "for i in range(10): print(i)",
                "blocks are in braces: `if … { … }`, `for … { … }`",
            ),
            ("if 1 == 1 { } elif 2 == 2 { }", "write `else if`"),
            ("def test_a():", "functions are written `fn name() { … }`"),
            (
                "let f = lambda x: x;",
                "functions without a name are written `|x| x + 1`",
            ),
            (
                "let x = 1 if 2 else 3;",
                "conditional values are written `if a { 1 } else { 2 }`",
            ),
            (
                "let x = 'plain';",
                "strings are in double quotes; single quotes hold one character",
            ),
            (
                "let x = f\"a{1}\";",
                "strings that contain values are in backticks: `${x} s`",
            ),
            ("run({ name: 1 });", "maps begin with `#{`"),
            (
                "run(requests=3);",
                "options are given as a map: `#{ requests: 3 }`",
            ),
            (
                "import sim;",
                "write the path and a name: `import \"std/sim\" as sim;`",
            ),
            (
                "from \"std/sim\" import engine;",
                "`import \"std/sim\" as sim;` imports a module, to be used as `sim::engine()`",
            ),
            ("# a comment", "comments begin with `//`, maps with `#{`"),
            ("let i = 0; i++;", "write `x += 1`"),
            (
                "sim::engine();",
                "import it at the top: `import \"std/sim\" as sim;`",
            ),
        ] {
            assert_eq!(compile_hint(text).as_deref(), Some(hint), "{text}");
        }
    }

    #[test]
    fn foreign_words_match_as_a_whole() {
        assert_eq!(
            other_language("undefined variable: None", "let x = ", "None;"),
            Some("a missing value is `()`")
        );
        for (message, before, rest) in [
            ("undefined variable: Nones", "let x = ", "Nones;"),
            ("undefined variable: sim", "", "sim::x"),
            ("undefined variable: a", "if ", "a == 1"),
            ("expecting '{' to start a statement block", "if a ", "order"),
        ] {
            assert_eq!(other_language(message, before, rest), None, "{rest}");
        }
    }
}
