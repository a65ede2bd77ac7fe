//! Syntax highlighting of the input.

use nu_ansi_term::{Color, Style};
use reedline::{Highlighter, StyledText};
use regex::Regex;
use std::sync::LazyLock;

/// Matches one token; the name of the matching group is its kind.
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = [
        r"(?<comment>//[^\n]*|/\*(?s:.*?)(?:\*/|\z))",
        r#"(?<string>"(?:[^"\\]|\\.)*"?|`[^`]*`?|'(?:[^'\\]|\\.)')"#,
        r"(?<command>\A:\w*)",
        concat!(
            r"(?<keyword>\b(?:let|const|fn|if|else|for|in|while|loop|do|until|switch|return|break|",
            r"continue|throw|try|catch|import|as|export|private|true|false|this|global)\b)"
        ),
        r"(?<number>\b\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?\b)",
        r"(?<function>\b[A-Za-z_][\w:]*\s?\()",
        r"(?<plain>[A-Za-z_][\w:]*|\s+|(?s:.))",
    ];
    Regex::new(&kinds.join("|")).expect("the pattern is a constant")
});

/// Colors tokens by their kind.
pub(super) struct Colors;

impl Highlighter for Colors {
    fn highlight(&self, text: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        for token in TOKENS.captures_iter(text) {
            let kind = TOKENS
                .capture_names()
                .flatten()
                .find(|name| token.name(name).is_some());
            let all = &token[0];
            match all.strip_suffix('(').filter(|_| kind == Some("function")) {
                Some(name) => {
                    styled.push((style("function"), name.to_owned()));
                    styled.push((Style::new(), "(".to_owned()));
                }
                None => styled.push((style(kind.unwrap_or_default()), all.to_owned())),
            }
        }
        styled
    }
}

fn style(kind: &str) -> Style {
    match kind {
        "comment" => Style::new().fg(Color::DarkGray),
        "string" => Style::new().fg(Color::Green),
        "command" | "keyword" => Style::new().fg(Color::Purple),
        "number" => Style::new().fg(Color::Cyan),
        "function" => Style::new().fg(Color::Blue),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_are_colored_by_kind() {
        let styled = Colors.highlight("let x = f(1, \"a\"); // b", 0);
        let colored: Vec<_> = styled
            .buffer
            .iter()
            .filter(|(style, _)| style.foreground.is_some())
            .collect();
        let texts: Vec<&str> = colored.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["let", "f", "1", "\"a\"", "// b"]);
    }

    proptest! {
        #[test]
        fn any_text_is_kept_when_highlighted(text in "\\PC*|[\"'`/*a:(\\n ]{0,12}") {
            let styled = Colors.highlight(&text, 0);
            let joined: String = styled.buffer.iter().map(|(_, text)| text.as_str()).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
