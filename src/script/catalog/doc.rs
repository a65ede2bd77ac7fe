//! Doc comments: the first sentence, the text, the example.

use crate::script::outline::first_sentence;

/// A parsed doc comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doc {
    /// Its first sentence.
    pub(crate) summary: String,
    /// The text without the example, in Markdown.
    pub(crate) text: String,
    /// The script between ```` ```rhai ```` and ```` ``` ````.
    pub(crate) example: Option<String>,
}

impl Doc {
    /// Parses a comment without its slashes.
    pub(crate) fn parse(comment: &str) -> Self {
        let mut text = Vec::new();
        let mut example = None;
        let mut lines = comment.lines();
        while let Some(line) = lines.next() {
            if line == "```rhai" {
                let code: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                example = Some(code.join("\n"));
            } else {
                text.push(line);
            }
        }
        let text = text.join("\n").replace("\n\n\n", "\n\n").trim().to_owned();
        Self {
            summary: first_sentence(&text),
            text,
            example,
        }
    }

    /// The functions in "Options: those of `one`, `other`.", whose options the function takes.
    pub(crate) fn borrows(&self) -> Vec<&str> {
        let Some((_, rest)) = self.text.split_once("Options: those of ") else {
            return Vec::new();
        };
        let list = rest.split("\n\n").next().unwrap_or_default();
        list.split('`').skip(1).step_by(2).collect()
    }
}
