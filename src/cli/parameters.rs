//! Checks and lists the parameters that `-P` sets.

use crate::script::{ScriptParameters, nearest, quoted};

/// Parameters that a flag sets: `-m` and `--seed`.
const SET_BY_FLAGS: [&str; 2] = ["model", "seed"];

/// The maximum number of parameters or tests that a message lists.
const MAX_LISTED: usize = 12;

/// Returns the error for an unknown name in `given`, unless the script computes names.
pub(super) fn unknown(parameters: &ScriptParameters, given: &[&str]) -> Option<String> {
    if parameters.is_incomplete {
        return None;
    }
    let name = given
        .iter()
        .find(|name| !SET_BY_FLAGS.contains(name) && !parameters.names.contains(**name))?;
    let known: Vec<&str> = parameters.names.iter().map(String::as_str).collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "the script has no parameters".into(),
        None if known.len() <= MAX_LISTED => format!("the script has {}", quoted(&known)),
        None => "`-l -v` lists the parameters of each test".into(),
    };
    Some(format!("unknown parameter `{name}`; {help}"))
}

/// A parameter that has no effect on a run.
pub(super) struct UnusedParameter {
    pub(super) name: String,
    pub(super) warning: String,
}

/// Returns the parameters in `given` that the script has, but none of the selected `tests`.
pub(super) fn not_selected(
    parameters: &ScriptParameters,
    given: &[&str],
    tests: &[String],
) -> Vec<UnusedParameter> {
    let mut unused = Vec::new();
    for name in given {
        if SET_BY_FLAGS.contains(name) || !parameters.names.contains(*name) {
            continue;
        }
        let users: Vec<&str> = parameters
            .by_test
            .iter()
            .filter(|(_, defaults)| defaults.contains_key(*name))
            .map(|(test, _)| test.as_str())
            .collect();
        if tests.iter().any(|test| users.contains(&test.as_str())) {
            continue;
        }
        let reason = match users.as_slice() {
            [] => "no test uses it".into(),
            users if users.len() <= MAX_LISTED => format!("it is used by {}", quoted(users)),
            users => format!("it is used by {} other tests", users.len()),
        };
        unused.push(UnusedParameter {
            name: (*name).to_owned(),
            warning: format!(
                "the parameter `{name}` has no effect on the selected tests: {reason}"
            ),
        });
    }
    unused
}

/// Returns the parameters of a test with their defaults, one per line.
pub(super) fn lines(parameters: &ScriptParameters, test: &str) -> Vec<String> {
    let Some(defaults) = parameters.by_test.get(test) else {
        return Vec::new();
    };
    let shown: Vec<(&String, &String)> = defaults
        .iter()
        .filter(|(name, _)| !SET_BY_FLAGS.contains(&name.as_str()))
        .collect();
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    shown
        .iter()
        .map(|(name, default)| format!("    {name:width$}  {default}"))
        .collect()
}
