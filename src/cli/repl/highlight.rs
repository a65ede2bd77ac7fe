//! What is typed, in colors.

use nu_ansi_term::{Color, Style};
use reedline::{Highlighter, StyledText};
use regex::Regex;
use std::sync::LazyLock;

/// One piece of a text: the first group that matches says what it is.
static PIECES: LazyLock<Regex> = LazyLock::new(|| {
    let pieces = [
        r"(?<comment>//[^\n]*|/\*(?s:.*?)(?:\*/|\z))",
        r#"(?<string>"(?:[^"\\]|\\.)*"?|`[^`]*`?|'(?:[^'\\]|\\.)')"#,
        r"(?<command>\A:\w*)",
        r"(?<keyword>\b(?:let|const|fn|if|else|for|in|while|loop|do|until|switch|return|break|continue|throw|try|catch|import|as|export|private|true|false|this|global)\b)",
        r"(?<number>\b\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?\b)",
        r"(?<function>\b[A-Za-z_][\w:]*\s?\()",
        r"(?<plain>[A-Za-z_][\w:]*|\s+|(?s:.))",
    ];
    Regex::new(&pieces.join("|")).expect("the pattern is a constant")
});

/// Colors by the kind of piece.
pub struct Colors;

impl Highlighter for Colors {
    fn highlight(&self, text: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        for piece in PIECES.captures_iter(text) {
            let kind = PIECES
                .capture_names()
                .flatten()
                .find(|name| piece.name(name).is_some());
            let all = &piece[0];
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
    fn pieces_have_their_colors() {
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
        fn any_text_stays_what_it_is(text in "\\PC*|[\"'`/*a:(\\n ]{0,12}") {
            let styled = Colors.highlight(&text, 0);
            let joined: String = styled.buffer.iter().map(|(_, text)| text.as_str()).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
