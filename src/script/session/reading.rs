//! Whether what was typed so far is a whole input.

use super::parsed;
use rhai::{LexError, ParseErrorType, Position};

/// How far an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It can be evaluated, be it to an error.
    Whole,
    /// Something is still open at its end.
    Open,
}

/// How far `text` is.
pub fn reading(text: &str) -> Reading {
    let is_open = match parsed(text) {
        Ok(_) => in_comment(text),
        Err(error) => match error.err_type() {
            ParseErrorType::UnexpectedEOF => true,
            ParseErrorType::BadInput(LexError::UnterminatedString) => {
                text.matches('`').count() % 2 == 1
            }
            ParseErrorType::BadInput(_) => false,
            _ => is_at_end(error.position(), text),
        },
    };
    if is_open {
        Reading::Open
    } else {
        Reading::Whole
    }
}

/// Whether nothing but white space stands at `position` and behind it.
fn is_at_end(position: Position, text: &str) -> bool {
    let (Some(line), Some(column)) = (position.line(), position.position()) else {
        return true;
    };
    let mut rest = text.lines().skip(line - 1);
    let first: String = rest
        .next()
        .unwrap_or_default()
        .chars()
        .skip(column - 1)
        .collect();
    first.trim().is_empty() && rest.all(|line| line.trim().is_empty())
}

/// Rhai takes a comment that is not closed for one that ends with the text.
fn in_comment(text: &str) -> bool {
    text.rfind("/*")
        .is_some_and(|begin| !text[begin..].contains("*/"))
        && parsed(&format!("{text} ]")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_at_its_end_goes_on() {
        for open in [
            "let x =",
            "if true {",
            "fn f(x) {\n    x",
            "run(work,",
            "#{ a: 1,",
            "[1, 2",
            "let x = `one",
            "/* a",
            "x +",
            "fn f",
            "let x = #{\n",
            "f(1, #{ a: [",
        ] {
            assert_eq!(reading(open), Reading::Open, "{open}");
        }
    }

    #[test]
    fn what_is_whole_or_wrong_is_evaluated() {
        for whole in [
            "",
            "1",
            "let x = 1",
            "x.y",
            "fn f(x) { x }",
            "\"open",
            "let 1",
            "1 + ) 2",
            "if true { 1 } else { 2 }",
            "unknown::f(1)",
            "`a\nb`",
            "// a",
            "/* a */ 1",
            "let x = \"/*\";",
            "}",
        ] {
            assert_eq!(reading(whole), Reading::Whole, "{whole}");
        }
    }
}
