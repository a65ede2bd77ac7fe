//! Parsing of inputs: complete ones, and ones that continue on the next line.

use crate::script::language::compiler;
use rhai::{AST, LexError, ParseError, ParseErrorType, Position};

/// The completeness of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputState {
    /// It can be evaluated, with a value or an error.
    Complete,
    /// It needs further lines, because something is open at its end.
    Incomplete,
}

/// Returns the completeness of `text`.
pub(crate) fn input_state(text: &str) -> InputState {
    let is_incomplete = match parse(text) {
        Ok(_) => ends_in_comment(text),
        Err(error) => match error.err_type() {
            ParseErrorType::UnexpectedEOF => true,
            ParseErrorType::BadInput(LexError::UnterminatedString) => {
                text.matches('`').count() % 2 == 1
            }
            ParseErrorType::BadInput(_) => false,
            _ => is_at_end(error.position(), text),
        },
    };
    if is_incomplete {
        InputState::Incomplete
    } else {
        InputState::Complete
    }
}

/// Parses a text that may use unknown variables.
pub(super) fn parse(text: &str) -> Result<AST, ParseError> {
    let mut engine = compiler();
    engine.set_strict_variables(false);
    engine.compile(text)
}

/// Returns true if only white space follows `position`.
fn is_at_end(position: Position, text: &str) -> bool {
    let Some(line) = position.line() else {
        return true;
    };
    let Some(column) = position.position() else {
        return true;
    };
    let mut rest = text.lines().skip(line - 1);
    let first = rest.next().unwrap_or_default();
    first.chars().skip(column - 1).all(char::is_whitespace)
        && rest.all(|line| line.trim().is_empty())
}

/// Returns true if `text` ends in an open comment, which Rhai accepts.
fn ends_in_comment(text: &str) -> bool {
    text.rfind("/*")
        .is_some_and(|begin| !text[begin..].contains("*/"))
        && parse(&format!("{text} ]")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_with_an_open_end_are_incomplete() {
        for text in [
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
            assert_eq!(input_state(text), InputState::Incomplete, "{text}");
        }
    }

    #[test]
    fn other_inputs_are_complete() {
        for text in [
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
            assert_eq!(input_state(text), InputState::Complete, "{text}");
        }
    }
}
