//! Suggestions: the known name that is most similar to an unknown one.

use std::path::{Path, PathBuf};

/// The minimum Jaro-Winkler similarity of a suggestion.
const MIN_SIMILARITY: f64 = 0.8;

/// Returns the candidate most similar to `word`; `None` if none is similar.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= MIN_SIMILARITY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Returns up to three candidates similar to `word`, the most similar first. Ignores case, and also
/// compares `word` with parts of a candidate between `_`.
pub(crate) fn nearest_few<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
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
    near.retain(|(likeness, _)| *likeness >= MIN_SIMILARITY);
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter()
        .take(3)
        .map(|(_, candidate)| candidate)
        .collect()
}

/// Advice for an unknown word: the most similar candidate, otherwise all candidates.
pub(crate) fn did_you_mean(word: &str, what: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => format!("there are no {what}"),
        None => format!("the {what} are {}", quoted(candidates)),
    }
}

/// Advice to read the documentation of a function.
pub(crate) fn look_up(function: &str) -> String {
    format!("`lmrun api {function}` describes it")
}

/// Advice on `problem` with the options of a function.
pub(crate) fn remedy(function: &str, problem: &str) -> String {
    let absent = problem.strip_suffix(", which the environment does not have");
    match absent.and_then(|absent| absent.rsplit('`').nth(1)) {
        Some(variable) => format!("set it before lmrun starts: `export {variable}=…`"),
        None => look_up(function),
    }
}

/// Returns a file with a similar name in the same folder, or in a folder with a similar name. The
/// extension may be missing, or differ if the rest of the name is equal.
pub(crate) fn neighbour(path: &Path) -> Option<PathBuf> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    // Results are in the folder of a run, not in the folder of all runs.
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

/// The names in backticks, separated by commas.
pub(crate) fn quoted(names: &[&str]) -> String {
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
    fn advice_is_the_nearest_candidate_or_all() {
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
