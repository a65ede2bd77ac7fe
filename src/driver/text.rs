//! Text from outside, made safe to print.

use super::secrets;

/// Returns a text without escape sequences, control characters, and characters that change the
/// direction of writing, so that it can be printed and written into a table.
pub(crate) fn printable(text: &str) -> String {
    console::strip_ansi_codes(text)
        .chars()
        .filter(|c| is_printable(*c))
        .collect()
}

/// Returns a message that may contain text from outside as printable lines without secrets.
pub(crate) fn printable_message(message: &str) -> String {
    let lines: Vec<String> = message.split('\n').map(printable).collect();
    secrets::scrub(&lines.join("\n"))
}

/// Returns a script in which other bytes replace unprintable ones and secrets, one for one.
pub(crate) fn printable_script(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) || "\r\n".contains(c) {
            printable.push(c);
        } else {
            printable.push_str(&"?".repeat(c.len_utf8()));
        }
    }
    secrets::mask_script(&printable)
}

/// Returns true if a character neither controls a terminal nor changes the direction of writing.
pub(crate) fn is_printable(c: char) -> bool {
    let changes_direction = matches!(
        c,
        '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    );
    (!c.is_control() || c == '\t') && !changes_direction
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn printable_removes_escapes_and_control_characters() {
        assert_eq!(
            printable("\u{1b}[31mred\u{1b}[0m\u{7}\r\n\u{1b}]0;title\u{7} \u{202e}txt.\ta"),
            "red txt.\ta"
        );
    }

    #[test]
    fn printable_message_removes_escapes_and_secrets() {
        assert_eq!(
            printable_message("a\u{1b}[31mb\nat redis://:pw@h\u{202e}"),
            "ab\nat redis://(removed)@h"
        );
        assert_eq!(printable_script("a\u{202e}b\u{7}\n"), "a???b?\n");
    }

    proptest! {
        #[test]
        fn printable_removes_everything_that_controls_a_terminal(
            text in any::<String>(),
            escape in "\\PC{0,4}\u{1b}[\\[\\]P^_]\\PC{0,9}",
        ) {
            for printed in [printable(&text), printable(&escape)] {
                prop_assert!(printed.chars().all(is_printable), "{printed:?}");
            }
        }
    }
}
