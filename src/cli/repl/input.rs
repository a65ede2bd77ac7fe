//! Text that is not typed at a terminal, split into inputs.

use crate::script::{InputState, input_state};

/// Splits a text into inputs: lines, or several lines if they are incomplete apart.
pub(super) fn split_inputs(text: &str) -> Vec<String> {
    let mut inputs: Vec<String> = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        if open.is_empty()
            && continues_input(line)
            && let Some(last) = inputs.pop()
        {
            open = last;
        }
        if !open.is_empty() {
            open.push('\n');
        }
        open += line;
        if open.starts_with(':') || input_state(&open) == InputState::Complete {
            inputs.push(std::mem::take(&mut open));
        }
    }
    if !open.is_empty() {
        inputs.push(open);
    }
    inputs
}

/// Returns true if a line belongs to the input before it.
fn continues_input(line: &str) -> bool {
    ["else", "catch", "."]
        .iter()
        .any(|start| line.trim_start().starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_split_into_complete_inputs() {
        let text =
            "let x = 1\nif x > 0 {\n  1\n}\nelse { 2 }\n:engines\nx\n  .to_string()\nfn f() {";
        let inputs = [
            "let x = 1",
            "if x > 0 {\n  1\n}\nelse { 2 }",
            ":engines",
            "x\n  .to_string()",
            "fn f() {",
        ];
        assert_eq!(split_inputs(text), inputs);
    }
}
