//! Doc comments: the first sentence, the rest, the options, the example.

use super::item::OptionKey;
use crate::script::outline::first_sentence;
use regex::Regex;
use std::sync::LazyLock;

/// A doc comment, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doc {
    /// Its first sentence.
    pub summary: String,
    /// All its text but the example, in Markdown.
    pub text: String,
    /// The options that it lists.
    pub options: Vec<OptionKey>,
    /// The script between ```` ```rhai ```` and ```` ``` ````.
    pub example: Option<String>,
}

impl Doc {
    /// Takes a comment without its slashes apart.
    pub fn parse(comment: &str) -> Self {
        let (mut text, mut options, mut example) = (Vec::new(), Vec::new(), None);
        let mut lines = comment.lines().peekable();
        while let Some(line) = lines.next() {
            if line == "```rhai" {
                let code: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                example = Some(code.join("\n"));
            } else if let Some(item) = line.strip_prefix("- `") {
                let mut item = item.to_owned();
                text.push(line);
                while let Some(more) = lines.next_if(|line| line.starts_with("  ")) {
                    text.push(more);
                    item = format!("{item} {}", more.trim());
                }
                options.extend(option_keys(&item));
            } else {
                text.push(line);
            }
        }
        let text = text.join("\n").replace("\n\n\n", "\n\n").trim().to_owned();
        Self {
            summary: first_sentence(&text),
            text,
            options,
            example,
        }
    }

    /// The functions of which it says "those of `one`, `other`."
    pub fn borrows(&self) -> Vec<&str> {
        let said = self
            .text
            .split_once("those of ")
            .map_or("", |(_, rest)| rest);
        let list = said
            .split(". ")
            .next()
            .unwrap_or_default()
            .split(".\n")
            .next()
            .unwrap_or_default();
        list.split('`').skip(1).step_by(2).collect()
    }
}

/// Reads `` key` (default): doc ``; several keys may share a doc: `` a`, `b`: doc ``.
fn option_keys(item: &str) -> Vec<OptionKey> {
    // Compiling it takes far longer than any match.
    static FORM: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^((?-u:\w)+(?:`, `(?-u:\w)+)*)`(?: \((.*?)\))?(?:: (.*))?$")
            .expect("a pattern")
    });
    let Some(parts) = FORM.captures(item) else {
        return Vec::new();
    };
    let part = |i| parts.get(i).map(|part| part.as_str().to_owned());
    let key = |name: &str| OptionKey {
        name: name.into(),
        default: part(2),
        doc: part(3).unwrap_or_default(),
    };
    parts[1].split("`, `").map(key).collect()
}
