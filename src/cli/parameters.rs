//! `-P`: parameters that no test has are refused before anything starts, and listed with `-l -v`.

use crate::script::{Declared, nearest, quoted};

/// Parameters that a flag sets: `-m` and `--seed`.
const OF_FLAGS: [&str; 2] = ["model", "seed"];

/// The maximum number of parameters or tests that a message names one by one.
const FEW: usize = 12;

/// Returns an error for unknown names in `given`. If a script computes the names of parameters, any may be
/// right.
pub fn unknown(declared: &Declared, given: &[&str]) -> Option<String> {
    let is_known = |name: &&str| declared.all.contains(*name) || OF_FLAGS.contains(name);
    let name = given
        .iter()
        .find(|name| !is_known(name))
        .filter(|_| !declared.is_open)?;
    let known: Vec<&str> = declared.all.iter().map(String::as_str).collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "the script has no parameters".into(),
        None if known.len() <= FEW => format!("the script has {}", quoted(&known)),
        None => "`-l -v` lists the parameters of each test".into(),
    };
    Some(format!("unknown parameter `{name}`; {help}"))
}

/// A parameter that has no effect on a run.
pub struct Idle {
    /// Its name.
    pub name: String,
    /// The warning.
    pub warning: String,
}

/// Warns of the parameters in `given` that the script has, but none of the selected `tests`.
pub fn not_selected(declared: &Declared, given: &[&str], tests: &[String]) -> Vec<Idle> {
    let users = |name: &str| {
        let users = declared
            .by_test
            .iter()
            .filter(|(_, parameters)| parameters.contains_key(name));
        users.map(|(test, _)| test.as_str()).collect::<Vec<&str>>()
    };
    let is_candidate = |name: &&&str| declared.all.contains(**name) && !OF_FLAGS.contains(*name);
    let unused = given.iter().filter(is_candidate).filter_map(|name| {
        let users = users(name);
        let is_used = users
            .iter()
            .any(|user| tests.iter().any(|test| test == user));
        let reason = match users.as_slice() {
            [] => "no test uses it".into(),
            users if users.len() <= FEW => format!("it is used by {}", quoted(users)),
            users => format!("it is used by {} other tests", users.len()),
        };
        let warning =
            format!("the parameter `{name}` has no effect on the selected tests: {reason}");
        (!is_used).then(|| Idle {
            name: (*name).to_owned(),
            warning,
        })
    });
    unused.collect()
}

/// The parameters of a test with their defaults, one per line.
pub fn lines(declared: &Declared, test: &str) -> Vec<String> {
    let Some(parameters) = declared.by_test.get(test) else {
        return Vec::new();
    };
    let own = || {
        parameters
            .iter()
            .filter(|(name, _)| !OF_FLAGS.contains(&name.as_str()))
    };
    let width = own().map(|(name, _)| name.len()).max().unwrap_or(0);
    own()
        .map(|(name, default)| format!("    {name:width$}  {default}"))
        .collect()
}
