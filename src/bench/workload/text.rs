//! Prompt texts that are written out only when they are sent.

use std::fmt::Write;

/// A piece of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The text itself.
    Literal(String),
    /// A text, repeated.
    Repeated {
        /// What is repeated.
        unit: &'static str,
        /// How often.
        times: usize,
    },
}

/// A prompt in pieces, which stand one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt(pub Vec<Part>);

impl Prompt {
    /// The whole text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Repeated { unit, times } => text.push_str(&unit.repeat(*times)),
            }
        }
        text
    }
}

/// How many tokens a text has, by rule: a word is one token for every ten letters or
/// part of ten; every other character that is not a space is one.
///
/// Close to what common tokenizers make of English; the server's own count, which a row
/// carries too, is the true one.
pub fn estimate_tokens(text: &str) -> u64 {
    const LETTERS: u64 = 10;
    let mut tokens = 0;
    let mut letters = 0;
    for c in text.chars() {
        if c.is_alphanumeric() {
            letters += 1;
            tokens += u64::from(letters % LETTERS == 1);
        } else {
            letters = 0;
            tokens += u64::from(!c.is_whitespace());
        }
    }
    tokens
}

/// Appends `value` as JSON's string literal.
pub fn push_json_string(json: &mut String, value: &str) {
    // Serialising a string into a string cannot fail.
    let _ = write!(json, "{}", serde_json::Value::from(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_one_behind_the_other() {
        let prompt = Prompt(vec![Part::Repeated { unit: "ab ", times: 2 }, Part::Literal("c".into())]);
        assert_eq!(prompt.text(), "ab ab c");
    }

    #[test]
    fn the_rule_of_estimation() {
        for (text, tokens) in [
            ("", 0),
            ("This is some dummy text. ", 6),
            ("Index 12. Question: How are you doing today?", 11),
            ("internationalization", 2),
            ("Größe 漢字", 2),
        ] {
            assert_eq!(estimate_tokens(text), tokens, "{text}");
        }
    }
}
