//! What others wrote, made harmless.

use super::secrets;

/// A text of an engine's that can be shown on a terminal and written into a table: without escape
/// sequences, control characters, and marks that turn the direction of writing.
pub fn printable(text: &str) -> String {
    console::strip_ansi_codes(text)
        .chars()
        .filter(|c| is_harmless(*c))
        .collect()
}

/// Returns a message that may repeat the texts of others in a form that can be shown: printable lines without
/// secrets.
pub fn shown(message: &str) -> String {
    let lines: Vec<String> = message.split('\n').map(printable).collect();
    secrets::scrub(&lines.join("\n"))
}

/// Returns a script in a form that can be shown: other bytes replace unprintable ones and secrets, one for
/// one.
pub fn shown_script(text: &str) -> String {
    let is_shown = |c: char| is_harmless(c) || "\r\n".contains(c);
    let text: String = text
        .chars()
        .map(|c| {
            if is_shown(c) {
                c.into()
            } else {
                "?".repeat(c.len_utf8())
            }
        })
        .collect();
    secrets::starred_script(&text)
}

/// Whether a character is only itself: it neither controls a terminal nor turns the direction of
/// writing.
pub fn is_harmless(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (!c.is_control() || c == '\t') && !turns
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_and_controls_are_gone() {
        assert_eq!(
            printable("\u{1b}[31mred\u{1b}[0m\u{7}\r\n\u{1b}]0;title\u{7} \u{202e}txt.\ta"),
            "red txt.\ta"
        );
    }

    #[test]
    fn a_message_is_shown_without_escapes_and_secrets() {
        assert_eq!(
            shown("a\u{1b}[31mb\nat redis://:pw@h\u{202e}"),
            "ab\nat redis://(removed)@h"
        );
        assert_eq!(shown_script("a\u{202e}b\u{7}\n"), "a???b?\n");
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_is_left(text in any::<String>(), escape in "\\PC{0,4}\u{1b}[\\[\\]P^_]\\PC{0,9}") {
            for shown in [printable(&text), printable(&escape)] {
                prop_assert!(shown.chars().all(is_harmless), "{shown:?}");
            }
        }
    }
}
