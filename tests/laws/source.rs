//! The files that laws are checked on.

use crate::common::root;
use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A text file of the repository.
pub(crate) struct TextFile {
    /// Relative to the root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A file of Rust code.
pub(crate) struct RustFile {
    pub(crate) file: TextFile,
    /// All code.
    pub(crate) all: TokenStream,
    /// The code outside of `#[cfg(test)]`.
    pub(crate) code: TokenStream,
}

/// A path in code, such as `crate::driver::http`, or the name of a macro, such as `println!`.
pub(crate) struct Mention {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

impl TextFile {
    /// Returns `file:line: text` of a line, counted from 1.
    pub(crate) fn place(&self, line: usize) -> String {
        let text = self.text.lines().nth(line - 1).unwrap_or_default().trim();
        format!("{}:{line}: {text}", self.path.display())
    }

    /// The numbers and texts of all lines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    pub(crate) fn is_under(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }
}

/// Returns the files of a folder, or one file, that have one of the extensions.
pub(crate) fn text_files(folder: &str, extensions: &[&str]) -> Vec<TextFile> {
    let mut found = Vec::new();
    let mut paths = vec![root().join(folder)];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            paths.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if has_extension(&path, extensions) {
            let relative = path.strip_prefix(root()).expect("a file of the repository");
            found.push(TextFile {
                path: relative.into(),
                text: std::fs::read_to_string(&path).expect("UTF-8"),
            });
        }
    }
    assert!(!found.is_empty(), "no {extensions:?} files in {folder}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
}

/// Returns the Rust files of a folder.
pub(crate) fn rust_files(folder: &str) -> Vec<RustFile> {
    let mut test_modules = HashSet::new();
    let mut files: Vec<RustFile> = text_files(folder, &["rs"])
        .into_iter()
        .map(|file| {
            let all: TokenStream = file.text.parse().expect("Rust");
            let mut names = Vec::new();
            let code = without_tests(all.clone(), &mut names);
            test_modules.extend(
                names
                    .iter()
                    .map(|name| module_folder(&file.path).join(name)),
            );
            RustFile { file, all, code }
        })
        .collect();
    for file in &mut files {
        let module = file.file.path.with_extension("");
        if module
            .ancestors()
            .any(|parent| test_modules.contains(parent))
        {
            file.code = TokenStream::new();
        }
    }
    files
}

/// Returns the folder that holds the modules which a file declares.
fn module_folder(path: &Path) -> PathBuf {
    let declares_beside = ["mod.rs", "lib.rs", "main.rs"]
        .iter()
        .any(|name| path.ends_with(name));
    if declares_beside {
        path.parent().expect("a folder").into()
    } else {
        path.with_extension("")
    }
}

/// Removes each item under `#[cfg(test)]`, and collects the names of such modules in files of their own.
fn without_tests(tokens: TokenStream, test_modules: &mut Vec<String>) -> TokenStream {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_attribute = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#');
        let is_of_tests = is_attribute
            && matches!(tokens.peek(), Some(TokenTree::Group(group)) if is_cfg_test(group));
        if is_of_tests {
            remove_attributes(&mut kept);
            let item = tokens.by_ref().skip(1);
            test_modules.extend(skip_item(item));
            continue;
        }
        kept.push(match token {
            TokenTree::Group(group) => TokenTree::Group(with_content(
                &group,
                without_tests(group.stream(), test_modules),
            )),
            other => other,
        });
    }
    kept.into_iter().collect()
}

/// Removes the attributes and doc comments at the end.
fn remove_attributes(tokens: &mut Vec<TokenTree>) {
    while let [.., TokenTree::Punct(punct), TokenTree::Group(group)] = tokens.as_slice()
        && punct.as_char() == '#'
        && group.delimiter() == Delimiter::Bracket
    {
        tokens.truncate(tokens.len() - 2);
    }
}

/// Skips an item up to its body or semicolon. Returns its name if it is a module in another file.
fn skip_item(item: impl Iterator<Item = TokenTree>) -> Option<String> {
    let mut previous = [String::new(), String::new()];
    for token in item {
        match &token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return None,
            TokenTree::Punct(punct) if punct.as_char() == ';' => break,
            _ => {}
        }
        let [_, last] = previous;
        previous = [last, token.to_string()];
    }
    let [keyword, name] = previous;
    (keyword == "mod").then_some(name)
}

fn is_cfg_test(group: &Group) -> bool {
    group.delimiter() == Delimiter::Bracket
        && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

fn with_content(group: &Group, content: TokenStream) -> Group {
    let mut new = Group::new(group.delimiter(), content);
    new.set_span(group.span());
    new
}

/// Returns each path with all of its beginnings: `a`, `a::b`, and `a::c` for `a::{b, c}`.
pub(crate) fn mentions(tokens: TokenStream) -> Vec<Mention> {
    let mut found = Vec::new();
    collect_mentions(tokens, &[], &mut found);
    found
}

fn collect_mentions(tokens: TokenStream, prefix: &[String], found: &mut Vec<Mention>) {
    let mut path = prefix.to_vec();
    let mut continues = true; // the next name belongs to `path`
    let mut colon = false; // the first half of `::` was read
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                if !continues {
                    path.clear();
                }
                path.push(name.to_string());
                let line = name.span().start().line;
                found.push(Mention {
                    path: path.clone(),
                    line,
                });
                continues = false;
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                ':' if colon => {
                    continues = true;
                    colon = false;
                }
                ':' if punct.spacing() == Spacing::Joint => colon = true,
                '!' => {
                    path.push("!".into());
                    let line = punct.span().start().line;
                    found.push(Mention {
                        path: path.clone(),
                        line,
                    });
                    path.clear();
                }
                ',' => {
                    path = prefix.to_vec();
                    continues = true;
                }
                _ => {
                    path.clear();
                    continues = false;
                }
            },
            TokenTree::Group(group) => {
                let inner = if continues { path.clone() } else { Vec::new() };
                collect_mentions(group.stream(), &inner, found);
                path.clear();
                continues = false;
            }
            TokenTree::Literal(_) => {
                path.clear();
                continues = false;
            }
        }
    }
}
