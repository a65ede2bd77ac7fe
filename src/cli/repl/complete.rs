//! What can come next: names, members, keys of options, commands, files, each with a line about it.

use super::commands::COMMANDS;
use crate::script::Variable;
use crate::script::catalog::{Catalog, Home, Item, Kind};
use parking_lot::Mutex;
use reedline::{Completer, CompletionResult, Span, Suggestion};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All names that are known at the prompt.
pub struct Names {
    /// What the library and the natives have.
    pub catalog: Catalog,
    variables: Mutex<Vec<Variable>>,
    folder: PathBuf,
}

/// A name that fits, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: String,
    about: String,
}

impl Word {
    fn new(text: impl Into<String>, about: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            about: about.into(),
        }
    }
}

impl Names {
    /// Those of the library; files are relative to `folder`.
    pub fn new(folder: &Path) -> Self {
        Self {
            catalog: Catalog::read(),
            variables: Mutex::default(),
            folder: folder.into(),
        }
    }

    /// What the session has now.
    pub fn update(&self, variables: Vec<Variable>) {
        *self.variables.lock() = variables;
    }

    /// What can replace the end of `before`, and where that end begins.
    fn next(&self, before: &str) -> (usize, Vec<Word>) {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let mut start = before.len() - trailing(before, is_part);
        let words =
            if let Some(command) = before.strip_prefix(':').filter(|rest| !rest.contains(' ')) {
                start = before.len() - command.len() - 1;
                COMMANDS
                    .iter()
                    .map(|(usage, about)| {
                        Word::new(usage.split(' ').next().unwrap_or_default(), *about)
                    })
                    .collect()
            } else if let Some(name) = before.strip_prefix(":help ") {
                start = before.len() - name.len();
                self.catalog
                    .items
                    .iter()
                    .map(|item| Word::new(item.title(), item.summary()))
                    .collect()
            } else if let Some(path) = open_path(before) {
                let name = path.rsplit('/').next().unwrap_or_default();
                start = before.len() - name.len();
                self.files(&path[..path.len() - name.len()])
            } else if let Some(receiver) = before[..start].strip_suffix('.') {
                self.members(receiver)
            } else if let Some((function, given)) = options_of(&before[..start]) {
                let is_given = |word: &Word| given.contains(&format!("{}:", word.text));
                self.options(function)
                    .into_iter()
                    .filter(|word| !is_given(word))
                    .collect()
            } else {
                self.words()
            };
        let typed = &before[start..];
        (
            start,
            words
                .into_iter()
                .filter(|word| word.text.starts_with(typed) && word.text != typed)
                .collect(),
        )
    }

    fn words(&self) -> Vec<Word> {
        let own = self
            .variables
            .lock()
            .iter()
            .map(|v| Word::new(&v.name, &v.kind))
            .collect::<Vec<_>>();
        let global =
            |item: &&Item| !matches!(item.home, Home::Type(_)) && item.kind == Kind::Function;
        let items = self
            .catalog
            .items
            .iter()
            .filter(global)
            .filter(|item| is_near(&item.home));
        own.into_iter()
            .chain(items.map(|item| Word::new(item.title(), item.summary())))
            .collect()
    }

    /// Members of the type of a variable; of anything else, those of all types.
    fn members(&self, receiver: &str) -> Vec<Word> {
        let name =
            &receiver[receiver.len() - trailing(receiver, |c| c.is_alphanumeric() || c == '_')..];
        let variables = self.variables.lock();
        let variable = variables.iter().find(|variable| variable.name == name);
        if let Some(map) = variable.filter(|variable| !variable.keys.is_empty()) {
            return map.keys.iter().map(|key| Word::new(key, "")).collect();
        }
        let is_member = |item: &&Item| match &item.home {
            Home::Type(kind) => {
                item.kind != Kind::Index && variable.is_none_or(|v| v.kind == *kind)
            }
            _ => false,
        };
        self.catalog
            .items
            .iter()
            .filter(is_member)
            .map(|item| Word::new(&item.name, item.summary()))
            .collect()
    }

    fn options(&self, function: &str) -> Vec<Word> {
        let options = self
            .catalog
            .find(function)
            .into_iter()
            .flat_map(|item| &item.options);
        options
            .map(|option| {
                let default = option
                    .default
                    .as_deref()
                    .map(|d| format!(" ({d})"))
                    .unwrap_or_default();
                Word::new(&option.name, format!("{}{default}", option.doc))
            })
            .collect()
    }

    fn files(&self, folder: &str) -> Vec<Word> {
        let entries = std::fs::read_dir(self.folder.join(folder))
            .into_iter()
            .flatten()
            .flatten();
        let mut words: Vec<Word> = entries
            .filter_map(|entry| {
                let is_folder = entry.file_type().ok()?.is_dir();
                Some(Word::new(
                    format!(
                        "{}{}",
                        entry.file_name().to_str()?,
                        if is_folder { "/" } else { "" }
                    ),
                    "",
                ))
            })
            .filter(|word| !word.text.starts_with('.'))
            .collect();
        words.sort_by(|a, b| a.text.cmp(&b.text));
        words
    }
}

/// Scripts reach natives through the library.
fn is_near(home: &Home) -> bool {
    !matches!(home, Home::Module(path) if path.starts_with("core/"))
}

/// How many bytes at the end of `text` are all `part`.
fn trailing(text: &str, part: impl Fn(char) -> bool) -> usize {
    text.chars()
        .rev()
        .take_while(|c| part(*c))
        .map(char::len_utf8)
        .sum()
}

/// The path that is being written: of a command, or in quotes that are open.
fn open_path(before: &str) -> Option<&str> {
    let command = [":load ", ":save "]
        .iter()
        .find_map(|command| before.strip_prefix(command));
    command.or_else(|| {
        let quotes = before
            .match_indices('"')
            .map(|(at, _)| at)
            .collect::<Vec<_>>();
        (quotes.len() % 2 == 1).then(|| &before[quotes[quotes.len() - 1] + 1..])
    })
}

/// Where the text ends at a key of an options map, the function that is called with it, and what it
/// was given before.
fn options_of(before: &str) -> Option<(&str, &str)> {
    if !before.trim_end().ends_with(['{', ',']) {
        return None;
    }
    let map = opening(before, '{').filter(|at| before[..*at].ends_with('#'))?;
    let call = opening(&before[..map - 1], '(')?;
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let function = &before[call - trailing(&before[..call], is_part)..call];
    (!function.is_empty()).then(|| (function, &before[map..]))
}

/// Where the innermost bracket that is open at the end of `text` stands, if it is `bracket`.
fn opening(text: &str, bracket: char) -> Option<usize> {
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
pub struct Completions(pub Arc<Names>);

impl Completer for Completions {
    fn complete(&mut self, line: &str, position: usize) -> CompletionResult {
        let (start, words) = self.0.next(&line[..position]);
        let suggestion = |word: Word| Suggestion {
            value: word.text,
            description: Some(word.about).filter(|about| !about.is_empty()),
            span: Span::new(start, position),
            ..Suggestion::default()
        };
        CompletionResult::fresh(words.into_iter().map(suggestion).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let names = Names::new(Path::new(env!("CARGO_MANIFEST_DIR")));
        let variable = |name: &str, kind: &str, keys: &[&str]| Variable {
            name: name.into(),
            kind: kind.into(),
            keys: keys.iter().map(ToString::to_string).collect(),
        };
        names.update(vec![
            variable("plain", "Engine", &[]),
            variable("settings", "map", &["chunk_size"]),
        ]);
        names
    }

    fn after(before: &str) -> Vec<String> {
        names()
            .next(before)
            .1
            .into_iter()
            .map(|word| word.text)
            .collect()
    }

    #[test]
    fn what_fits_is_offered() {
        assert_eq!(after("pla"), ["plain"]);
        assert_eq!(after("let a = load::du"), ["load::dummy"]);
        assert_eq!(after("plain.is"), ["is_healthy"]);
        assert_eq!(after("settings."), ["chunk_size"]);
        assert_eq!(after("seen[plain].tt"), ["ttft"]);
        assert_eq!(after(":eng"), [":engines"]);
        assert_eq!(after(":help load::du"), ["load::dummy"]);
        assert_eq!(after(":load scripts/te"), ["tests.rhai"]);
        assert_eq!(after("load::trace(\"stdli"), ["stdlib/"]);
    }

    #[test]
    fn keys_of_options_come_with_what_they_are() {
        let names = names();
        let (_, words) = names.next("run(load::dummy(#{ requests: 2, context");
        assert_eq!(
            words
                .iter()
                .map(|word| word.text.as_str())
                .collect::<Vec<_>>(),
            ["context_len"]
        );
        assert!(!words[0].about.is_empty());
        assert!(after("sim::engine(#{ lmc").contains(&"lmcache".to_owned()));
        assert_eq!(
            after("sim::engine(#{ name: pla"),
            ["plain"],
            "a value is no key"
        );
        assert!(
            !after("sim::engine(#{ name: \"a\", ").contains(&"name".to_owned()),
            "it is given"
        );
    }
}
