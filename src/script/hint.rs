//! What to do about errors of Rhai's own: what may have been meant, and where it is described.

use super::catalog::{Catalog, Home, Item, Kind};
use super::fault::Diagnosis;
use super::habits;
use super::modules::{Modules, STD};
use super::suggest::{look_up, nearest};
use regex::Regex;
use rhai::AST;

const LIST: &str = "`lmrun api` lists what scripts can call";

/// The same with advice, where it has none: which function may be meant by one that is not found, of those
/// of `ast` and `modules`, and so on.
pub fn with_hint(diagnosis: Diagnosis, ast: &AST, modules: &Modules) -> Diagnosis {
    if diagnosis.help.is_some() {
        return diagnosis;
    }
    let message = diagnosis.message.as_str();
    let help = match (&diagnosis.called, message.split_once(": ")) {
        (Some(called), _) => Some(look_up(called)),
        (None, Some(("function not found", call))) => Some(of_function(call, ast, modules)),
        (None, Some(("variable not found", name))) if name.contains("::") => Some(format!(
            "a function is called with its arguments: `{name}(…)`"
        )),
        _ => of_value(message).or_else(|| usual(message).map(str::to_owned)),
    };
    diagnosis.with_help(help)
}

/// Advice for `text`, which does not compile.
pub fn of_text(diagnosis: &Diagnosis, text: &str) -> Option<String> {
    let habit = diagnosis
        .around(text)
        .and_then(|(before, rest)| habits::of_text(&diagnosis.message, before, rest));
    habit
        .map(str::to_owned)
        .or_else(|| of_name(&diagnosis.message, text))
}

/// For a name that is not known.
fn of_name(message: &str, text: &str) -> Option<String> {
    let (what, name) = message.split_once(": ")?;
    let names = |pattern: &str| -> Vec<String> {
        let found = Regex::new(pattern).map(|names| {
            names
                .captures_iter(text)
                .map(|found| found[1].to_owned())
                .collect::<Vec<_>>()
        });
        found.unwrap_or_default()
    };
    let near = |names: &[String]| {
        nearest(name, names.iter().map(String::as_str))
            .map(|near| format!("did you mean `{near}`?"))
    };
    match what {
        "undefined module" => {
            near(&names(r#"(?m)^\s*import\s+"[^"]*"\s+as\s+(\w+)"#)).or_else(|| {
                let known = STD
                    .iter()
                    .find(|(path, _)| path.rsplit('/').next() == Some(name));
                let path = known.map_or("…", |(path, _)| path);
                Some(format!(
                    "import it at the top: `import \"{path}\" as {name};`"
                ))
            })
        }
        "undefined variable" => near(&names(r"\b(?:let|const|for)\s+(\w+)")).or_else(|| {
            Some("declare it before with `let`; a function sees its own variables only".into())
        }),
        _ => None,
    }
}

/// For `call`, which is like `start (i64)`, `load::dumy (map)` or, of a method, `clos (Engine)`.
fn of_function(call: &str, ast: &AST, modules: &Modules) -> String {
    let (name, arguments) = call.split_once(" (").unwrap_or((call, ""));
    let catalog = Catalog::read();
    let kind = arguments.split([',', ')']).next().unwrap_or_default();
    let methods: Vec<&Item> = of_type(&catalog, kind)
        .filter(|item| item.kind == Kind::Method)
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
    let own = ast.iter_functions().map(|f| f.name.to_owned());
    let natives = super::api::GLOBALS.iter().map(|name| (*name).to_owned());
    let of_modules = modules.function_names();
    let homeless = of_modules
        .iter()
        .find(|known| known.rsplit("::").next() == Some(name))
        .cloned();
    let known: Vec<String> = if name.contains("::") {
        of_modules
    } else {
        own.chain(natives).collect()
    };
    if known.iter().any(|known| known == name) {
        return format!("`{name}` takes other arguments");
    }
    let method = nearest(name, methods.iter().map(|method| method.name.as_str()));
    let near = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
    match method
        .map(|method| format!("{kind}.{method}"))
        .or(near)
        .or(homeless)
    {
        Some(near) => format!("did you mean `{near}`?"),
        None if arguments.contains("()") => {
            "`()` is what is not there: `x ?? 0` gives it a value".into()
        }
        None if !methods.is_empty() => format!("`lmrun api {kind}` says what it has"),
        None => LIST.into(),
    }
}

/// For a property that a value does not have, and for what it cannot be indexed by.
fn of_value(message: &str) -> Option<String> {
    let catalog = Catalog::read();
    if let Some(call) = message.strip_prefix("indexer unavailable: ") {
        let kind = call.split([' ', '[']).next()?;
        let indexers: Vec<&Item> = of_type(&catalog, kind)
            .filter(|item| item.kind == Kind::Index)
            .collect();
        return (!indexers.is_empty()).then(|| usage(&indexers));
    }
    let title = message
        .strip_prefix("there is no property `")?
        .trim_end_matches('`');
    let (kind, name) = title.split_once('.')?;
    let has: Vec<&str> = of_type(&catalog, kind)
        .map(|item| item.name.as_str())
        .collect();
    match nearest(name, has.iter().copied()) {
        Some(near) => Some(format!("did you mean `{kind}.{near}`?")),
        None => (!has.is_empty()).then(|| format!("`lmrun api {kind}` says what it has")),
    }
}

fn of_type<'c>(catalog: &'c Catalog, kind: &str) -> impl Iterator<Item = &'c Item> {
    catalog
        .items
        .iter()
        .filter(move |item| matches!(&item.home, Home::Type(home) if home == kind))
}

fn usage(items: &[&Item]) -> String {
    let forms = items
        .iter()
        .flat_map(|item| item.signatures.iter().map(|form| item.declaration(form)));
    let forms: Vec<String> = forms.map(|form| format!("`{form}`")).collect();
    format!("it is called as {}", forms.join(" or "))
}

/// For what needs no name to be understood.
fn usual(message: &str) -> Option<&'static str> {
    let helps = [
        (
            "property not found",
            "`keys()` says what a map has, `\"key\" in map` whether it has one",
        ),
        (
            "array index",
            "the first element is 0, the last `len() - 1` or -1",
        ),
        ("division by zero", "test the divisor before"),
        ("error parsing", "a text of digits is expected"),
        (
            "output type incorrect",
            "what is given to `filter` returns `true` or `false`",
        ),
        ("stack overflow", "a function calls itself without an end"),
    ];
    helps
        .iter()
        .find(|(start, _)| message.starts_with(start))
        .map(|(_, help)| *help)
}
