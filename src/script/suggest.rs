//! Did you mean.

use std::path::{Path, PathBuf};

const ALIKE: f64 = 0.8;

/// The candidate most like `word`, if one is like it at all.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The candidates most like `word`, three at most. As many parts of a name between `_` as `word` has are
/// compared, too, and small letters are like big ones.
pub fn nearest_few<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let parts = word.split('_').count();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let all: Vec<&str> = candidate.split('_').collect();
        let like = |part: &str| strsim::jaro_winkler(&word, part);
        all.windows(parts)
            .map(|window| like(&window.join("_")))
            .fold(like(&candidate), f64::max)
    };
    let mut near: Vec<(f64, &str)> = candidates.into_iter().map(|c| (likeness(c), c)).collect();
    near.retain(|(likeness, _)| *likeness >= ALIKE);
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter()
        .take(3)
        .map(|(_, candidate)| candidate)
        .collect()
}

/// `did you mean …`, else the whole choice.
pub fn did_you_mean(word: &str, what: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => format!("there are no {what}"),
        None => format!("the {what} are {}", quoted(candidates)),
    }
}

/// Where a function and its options are described.
pub fn look_up(function: &str) -> String {
    format!("`lmrun api {function}` says what it takes")
}

/// What to do about `problem` of a function's options.
pub fn remedy(function: &str, problem: &str) -> String {
    let absent = problem.strip_suffix(", which the environment does not have");
    match absent.and_then(|absent| absent.rsplit('`').nth(1)) {
        Some(variable) => format!("set it before lmrun starts: `export {variable}=…`"),
        None => look_up(function),
    }
}

/// A file in the same folder, or in one of a like name, with a name like this one's. The ending may be
/// missing, or another where the rest is the same.
pub fn neighbour(path: &Path) -> Option<PathBuf> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    // Each run has its own folder, so results are not in the folder of all runs.
    let in_last_run = folder
        .unwrap_or(Path::new(""))
        .join("latest")
        .join(path.file_name()?);
    if in_last_run.exists() {
        return Some(in_last_run);
    }
    if folder.is_some_and(|folder| !folder.exists()) {
        let moved = neighbour(folder?)?.join(path.file_name()?);
        return if moved.exists() {
            Some(moved)
        } else {
            neighbour(&moved)
        };
    }
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let stem = |path: &Path| {
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    let own = stem(path)?;
    let alike = |entry: &PathBuf| {
        let same_ending = path.extension().is_none() || entry.extension() == path.extension();
        let same_stem = stem(entry).is_some_and(|stem| stem == own);
        (same_ending || same_stem) && entry.file_name() != path.file_name()
    };
    let entries: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().into()))
        .filter(alike)
        .collect();
    let stems: Vec<String> = entries.iter().filter_map(|entry| stem(entry)).collect();
    let near = nearest(&own, stems.iter().map(String::as_str))?;
    let at = stems.iter().position(|stem| stem == near)?;
    Some(path.with_file_name(&entries[at]))
}

/// Names in backticks.
pub fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_corrected_and_nonsense_gets_the_choice() {
        let options = ["context_len", "requests"];
        assert_eq!(
            did_you_mean("contxt_len", "options", &options),
            "did you mean `context_len`?"
        );
        assert_eq!(
            did_you_mean("zzz", "options", &options),
            "the options are `context_len`, `requests`"
        );
        assert_eq!(did_you_mean("zzz", "options", &[]), "there are no options");
    }
}
