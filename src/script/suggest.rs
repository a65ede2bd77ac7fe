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

/// The candidates most like `word`, three at most. A part of a name between `_` is compared, too.
pub fn nearest_few<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let likeness = |candidate: &str| {
        let parts = std::iter::once(candidate).chain(candidate.split('_'));
        parts.map(|part| strsim::jaro_winkler(word, part)).fold(0.0, f64::max)
    };
    let mut near: Vec<(f64, &str)> = candidates.into_iter().map(|c| (likeness(c), c)).collect();
    near.retain(|(likeness, _)| *likeness >= ALIKE);
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// `did you mean …`, else the whole choice.
pub fn did_you_mean(word: &str, what: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => format!("there are no {what}"),
        None => format!("the {what} are {}", quoted(candidates)),
    }
}

/// A file in the same folder with a name like this one's, which need not have its ending.
pub fn neighbour(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries =
        std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let alike = |entry: &String| Path::new(entry).extension() == path.extension().or(Some("rhai".as_ref()));
    let names: Vec<String> = entries.filter(alike).collect();
    let stem = |name: &str| Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let stems: Vec<String> = names.iter().filter_map(|name| stem(name)).collect();
    let near = nearest(path.file_stem()?.to_str()?, stems.iter().map(String::as_str))?;
    let at = stems.iter().position(|stem| stem == near)?;
    Some(path.with_file_name(&names[at]))
}

/// Names in backticks.
pub fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_corrected_and_nonsense_gets_the_choice() {
        let options = ["context_len", "requests"];
        assert_eq!(did_you_mean("contxt_len", "options", &options), "did you mean `context_len`?");
        assert_eq!(did_you_mean("zzz", "options", &options), "the options are `context_len`, `requests`");
        assert_eq!(did_you_mean("zzz", "options", &[]), "there are no options");
    }
}
