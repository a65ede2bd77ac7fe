//! Errors of options, in the terms of scripts.

use super::diagnostic::ScriptError;
use super::suggest::{did_you_mean, look_up};
use rhai::Dynamic;

/// The value as text, as a script may write it.
pub(crate) fn in_words(value: &Dynamic) -> String {
    match value {
        _ if value.is_map() => "a map".into(),
        _ if value.is_array() => "an array".into(),
        _ if value.is_string() => format!("{:?}", value.to_string()),
        _ if value.is_fnptr() => "a function".into(),
        _ if value.is_int() || value.is_float() || value.is_bool() || value.is_unit() => {
            value.to_string()
        }
        other => other
            .type_name()
            .rsplit("::")
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// The error of one option. `option` may be a path such as `stages[0].qps`.
pub(crate) fn of_option(function: &str, option: &str, problem: &str) -> ScriptError {
    let word = option
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .split('[')
        .next()
        .unwrap_or_default();
    ScriptError::new(format!("option `{option}` of `{function}`: {problem}"))
        .at_word(word)
        .help(look_up(function))
}

/// The error of the options of `function`, as scripts see it. `prefix` is put before the names of
/// options.
pub(crate) fn problem(
    function: &str,
    prefix: &str,
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> ScriptError {
    let path = format!("{prefix}{}", error.path());
    let path = path.trim_end_matches('.');
    translated(
        function,
        if path.is_empty() { "." } else { path },
        &error.inner().to_string(),
    )
}

/// Translates an error of serde about `option`.
fn translated(function: &str, option: &str, problem: &str) -> ScriptError {
    let inside = |path: &str| {
        if path == "." {
            String::new()
        } else {
            format!(" in `{path}`")
        }
    };
    if let Some(field) = problem.strip_prefix("missing field ") {
        let missing = format!("`{function}` needs the option {field}{}", inside(option));
        return ScriptError::new(missing)
            .at_word(option.split('[').next().unwrap_or_default())
            .help(look_up(function));
    }
    let names: Vec<&str> = problem.split('`').skip(1).step_by(2).collect();
    match names.split_first() {
        Some((key, known)) if problem.starts_with("unknown field") => {
            let path = option.rsplit_once('.').map_or(".", |(path, _)| path);
            ScriptError::new(format!(
                "unknown option `{key}`{} of `{function}`",
                inside(path)
            ))
            .at_word(key)
            .help(did_you_mean(key, "options", known))
        }
        Some((value, known)) if problem.starts_with("unknown variant") => {
            let fault = of_option(function, option, &format!("unknown value `{value}`"));
            fault.help(did_you_mean(value, "choices", known))
        }
        _ => of_option(function, option, &plain(problem)),
    }
}

/// Translates texts such as `invalid type: string "x", expected u64`.
fn plain(problem: &str) -> String {
    let invalid = problem
        .strip_prefix("invalid type: ")
        .or_else(|| problem.strip_prefix("invalid value: "));
    let Some((found, expected)) = invalid.and_then(|invalid| invalid.rsplit_once(", expected "))
    else {
        return problem.into();
    };
    let expected = match expected {
        "u64" | "u32" | "usize" => "a whole number, zero or more",
        "u16" => "a whole number from 0 to 65535",
        "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "an array",
        "string or map" => "a string",
        expected if expected.starts_with("struct ") => "a map",
        expected => expected,
    };
    let found = match found {
        "map" => "a map",
        "sequence" => "an array",
        "null" => "no number",
        found => match found.strip_prefix("string ") {
            Some(text) => text,
            None => found.split('`').nth(1).unwrap_or(found),
        },
    };
    format!("expected {expected}, found {found}")
}
