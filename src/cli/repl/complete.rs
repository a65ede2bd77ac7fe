//! Completion: names, members, options, commands and files, each with a description.

use super::commands::COMMANDS;
use crate::script::Variable;
use crate::script::catalog::{Catalog, Home, Item, ItemKind};
use parking_lot::Mutex;
use reedline::{Completer, CompletionResult, Span, Suggestion};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All names that the prompt knows.
pub(super) struct KnownNames {
    /// The functions and types of the library.
    pub(super) catalog: Catalog,
    variables: Mutex<Vec<Variable>>,
    folder: PathBuf,
}

/// A possible completion.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    text: String,
    about: String,
}

impl Candidate {
    fn new(text: impl Into<String>, about: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            about: about.into(),
        }
    }

    /// Creates the candidate of an item with the module in its name.
    fn item(item: &Item) -> Self {
        Self::new(item.title(), item.summary())
    }
}

impl KnownNames {
    /// Creates the names of the library. Paths of files are relative to `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            catalog: Catalog::read(),
            variables: Mutex::default(),
            folder: folder.into(),
        }
    }

    /// Replaces the variables.
    pub(super) fn update(&self, variables: Vec<Variable>) {
        *self.variables.lock() = variables;
    }

    /// Returns the completions of the end of `before`, and the offset at which that end starts.
    fn complete(&self, before: &str) -> (usize, Vec<Candidate>) {
        let (start, mut candidates) = self.candidates(before);
        let typed = &before[start..];
        candidates.retain(|word| word.text.starts_with(typed) && word.text != typed);
        (start, candidates)
    }

    /// Returns everything that may be at the end of `before`, and the offset of that end.
    fn candidates(&self, before: &str) -> (usize, Vec<Candidate>) {
        if before.starts_with(':') && !before.contains(' ') {
            return (0, commands());
        }
        if let Some(name) = before.strip_prefix(":help ") {
            let items = self.catalog.items.iter();
            return (
                before.len() - name.len(),
                items.map(Candidate::item).collect(),
            );
        }
        if let Some(path) = open_path(before) {
            let name = path.rsplit('/').next().unwrap_or_default();
            let folder = &path[..path.len() - name.len()];
            return (before.len() - name.len(), self.files(folder));
        }
        let start = before.len() - trailing_bytes(before, is_path_part);
        let candidates = if let Some(receiver) = before[..start].strip_suffix('.') {
            self.members(receiver)
        } else if let Some((function, given)) = open_options(&before[..start]) {
            let mut options = self.options(function);
            options.retain(|option| !given.contains(&format!("{}:", option.text)));
            options
        } else {
            self.global_names()
        };
        (start, candidates)
    }

    /// Returns variables and functions.
    fn global_names(&self) -> Vec<Candidate> {
        let mut names = Vec::new();
        for variable in self.variables.lock().iter() {
            names.push(Candidate::new(&variable.name, &variable.kind));
        }
        for item in &self.catalog.items {
            // Scripts reach natives through the library.
            let is_global = match &item.home {
                Home::Type(_) => false,
                Home::Module(path) => !path.starts_with("core/"),
                Home::Global => true,
            };
            if is_global && item.kind == ItemKind::Function {
                names.push(Candidate::item(item));
            }
        }
        names
    }

    /// Returns the members of a variable's type, or of all types if `receiver` is not a variable.
    fn members(&self, receiver: &str) -> Vec<Candidate> {
        let name = &receiver[receiver.len() - trailing_bytes(receiver, is_name_part)..];
        let variables = self.variables.lock();
        let variable = variables.iter().find(|variable| variable.name == name);
        if let Some(map) = variable.filter(|variable| !variable.keys.is_empty()) {
            return map.keys.iter().map(|key| Candidate::new(key, "")).collect();
        }
        let mut members = Vec::new();
        for item in &self.catalog.items {
            if let Home::Type(kind) = &item.home
                && item.kind != ItemKind::Index
                && variable.is_none_or(|variable| variable.kind == *kind)
            {
                members.push(Candidate::new(&item.name, item.summary()));
            }
        }
        members
    }

    fn options(&self, function: &str) -> Vec<Candidate> {
        let mut options = Vec::new();
        for item in self.catalog.find(function) {
            for option in &item.options {
                options.push(Candidate::new(&option.name, option.doc_with_default()));
            }
        }
        options
    }

    /// Returns the files of a folder, except hidden ones.
    fn files(&self, folder: &str) -> Vec<Candidate> {
        let Ok(entries) = std::fs::read_dir(self.folder.join(folder)) else {
            return Vec::new();
        };
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let Ok(mut name) = entry.file_name().into_string() else {
                continue;
            };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                name.push('/');
            }
            if !name.starts_with('.') {
                files.push(Candidate::new(name, ""));
            }
        }
        files.sort_by(|a, b| a.text.cmp(&b.text));
        files
    }
}

fn commands() -> Vec<Candidate> {
    COMMANDS
        .iter()
        .map(|(usage, about)| Candidate::new(usage.split(' ').next().unwrap_or_default(), *about))
        .collect()
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_path_part(c: char) -> bool {
    is_name_part(c) || c == ':'
}

/// Returns the number of bytes at the end of `text` whose characters are all a `part`.
fn trailing_bytes(text: &str, part: fn(char) -> bool) -> usize {
    text.len() - text.trim_end_matches(part).len()
}

/// Returns the unfinished path at the end: the argument of a command, or an open string.
fn open_path(before: &str) -> Option<&str> {
    for command in [":load ", ":save "] {
        if let Some(path) = before.strip_prefix(command) {
            return Some(path);
        }
    }
    let last_quote = before.rfind('"')?;
    (before.matches('"').count() % 2 == 1).then(|| &before[last_quote + 1..])
}

/// If the text ends at a key of an options map, returns the function that takes it and the options
/// that it has so far.
fn open_options(before: &str) -> Option<(&str, &str)> {
    if !before.trim_end().ends_with(['{', ',']) {
        return None;
    }
    let map = open_bracket(before, '{').filter(|at| before[..*at].ends_with('#'))?;
    let call = open_bracket(&before[..map - 1], '(')?;
    let function = &before[call - trailing_bytes(&before[..call], is_path_part)..call];
    (!function.is_empty()).then(|| (function, &before[map..]))
}

/// Returns the offset of the innermost open bracket, if it is `bracket`.
fn open_bracket(text: &str, bracket: char) -> Option<usize> {
    let mut closed = 0;
    for (at, c) in text.char_indices().rev() {
        match c {
            ')' | ']' | '}' => closed += 1,
            '(' | '[' | '{' if closed > 0 => closed -= 1,
            '(' | '[' | '{' => return (c == bracket).then_some(at),
            _ => {}
        }
    }
    None
}

/// The completions of the editor.
pub(super) struct NameCompleter(pub(super) Arc<KnownNames>);

impl Completer for NameCompleter {
    fn complete(&mut self, line: &str, position: usize) -> CompletionResult {
        let (start, candidates) = self.0.complete(&line[..position]);
        let mut suggestions = Vec::new();
        for candidate in candidates {
            suggestions.push(Suggestion {
                value: candidate.text,
                description: Some(candidate.about).filter(|about| !about.is_empty()),
                span: Span::new(start, position),
                ..Suggestion::default()
            });
        }
        CompletionResult::fresh(suggestions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> KnownNames {
        let names = KnownNames::new(Path::new(env!("CARGO_MANIFEST_DIR")));
        names.update(vec![
            Variable {
                name: "plain".into(),
                kind: "Engine".into(),
                keys: Vec::new(),
            },
            Variable {
                name: "settings".into(),
                kind: "map".into(),
                keys: vec!["chunk_size".into()],
            },
        ]);
        names
    }

    fn completions(before: &str) -> Vec<String> {
        let (_, candidates) = names().complete(before);
        candidates.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn matching_names_are_completed() {
        assert_eq!(completions("pla"), ["plain"]);
        assert_eq!(completions("let a = load::du"), ["load::dummy"]);
        assert_eq!(completions("plain.is"), ["is_healthy"]);
        assert_eq!(completions("settings."), ["chunk_size"]);
        assert_eq!(completions("seen[plain].tt"), ["ttft"]);
        assert_eq!(completions(":eng"), [":engines"]);
        assert_eq!(completions(":help load::du"), ["load::dummy"]);
        assert_eq!(completions(":load scripts/te"), ["tests.rhai"]);
        assert_eq!(completions("load::trace(\"stdli"), ["stdlib/"]);
    }

    #[test]
    fn options_are_completed_with_descriptions() {
        let (_, options) = names().complete("run(load::dummy(#{ requests: 2, context");
        assert_eq!(options.len(), 1);
        assert_eq!(options[0].text, "context_len");
        assert!(!options[0].about.is_empty());
        assert!(completions("sim::engine(#{ lmc").contains(&"lmcache".to_owned()));
        assert_eq!(
            completions("sim::engine(#{ name: pla"),
            ["plain"],
            "a value is not an option"
        );
        assert!(
            !completions("sim::engine(#{ name: \"a\", ").contains(&"name".to_owned()),
            "the option is already given"
        );
    }
}
