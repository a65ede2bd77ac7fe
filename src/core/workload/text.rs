//! Texts that are built only when they are sent, and their numbers of tokens.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::sync::Arc;

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A text.
    Literal(String),
    /// A text that other messages share.
    Shared(Arc<str>),
    /// A text, repeated.
    Repeated {
        /// The text.
        unit: &'static str,
        /// The number of repetitions.
        times: usize,
    },
    /// Random words of the lexicon, one token each. The same seed gives the same first words.
    Words {
        /// The seed.
        seed: u64,
        /// The number of words.
        tokens: u64,
    },
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: Arc<str>,
    /// The consecutive parts of the text.
    pub parts: Vec<Part>,
}

impl Message {
    /// Creates a message of the user.
    pub fn user(parts: Vec<Part>) -> Self {
        Self {
            role: "user".into(),
            parts,
        }
    }

    /// Creates a system message.
    pub fn system(parts: Vec<Part>) -> Self {
        Self {
            role: "system".into(),
            parts,
        }
    }

    /// Returns the whole text.
    pub fn text(&self, lexicon: &Lexicon) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Shared(shared) => text.push_str(shared),
                Part::Repeated { unit, times } => text.push_str(&unit.repeat(*times)),
                Part::Words { seed, tokens } => lexicon.write(*seed, *tokens, &mut text),
            }
        }
        text
    }
}

/// The source of a token count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CountedBy {
    /// The [rule](estimate_tokens).
    Rule,
    /// The model's tokenizer, from its file.
    Tokenizer,
    /// The engine's tokenizer.
    Engine,
}

impl CountedBy {
    /// Returns its name in rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Tokenizer => "tokenizer",
            Self::Engine => "engine",
        }
    }
}

/// Short common English words. With the space before it, each is one token for all tested
/// tokenizers.
const WORDS: &str = include_str!("words.txt");

/// The minimum number of words.
const MIN_WORDS: usize = 100;

/// The sentence of the DUMMY workload.
pub const FILLER: &str = "This is some dummy text. ";

/// The words of generated texts, one token each.
#[derive(Clone, Debug)]
pub struct Lexicon {
    words: Vec<&'static str>,
    /// The tokens of `FILLER` when it is repeated.
    pub filler_tokens: u64,
    /// The source of the count.
    pub counted_by: CountedBy,
    /// The model of the engine that counted.
    model: Option<Arc<str>>,
}

impl Default for Lexicon {
    /// Returns all words, counted by rule.
    fn default() -> Self {
        Self {
            words: WORDS.split_whitespace().collect(),
            filler_tokens: estimate_tokens(FILLER),
            counted_by: CountedBy::Rule,
            model: None,
        }
    }
}

impl Lexicon {
    /// Finds the words that `count` counts as one token each. Returns `None` if it does not answer,
    /// or if texts of these words do not have one token per word.
    pub async fn fit(
        counted_by: CountedBy,
        mut count: impl AsyncFnMut(&str) -> Option<u64>,
    ) -> Option<Self> {
        let all = Self::default().words;
        // The tokens that a tokenizer adds to every text, such as a start token.
        let once = count(&spaced(&all[..MIN_WORDS])).await?;
        let added = (2 * once).checked_sub(count(&spaced(&all[..MIN_WORDS]).repeat(2)).await?)?;
        let mut words = Vec::new();
        let mut untried = vec![&all[..]];
        while let Some(some) = untried.pop() {
            if count(&spaced(some)).await? == some.len() as u64 + added {
                words.extend(some);
            } else if some.len() > 1 {
                let (left, right) = some.split_at(some.len() / 2);
                untried.extend([right, left]);
            }
        }
        let few = count(&FILLER.repeat(10)).await?;
        let many = count(&FILLER.repeat(110)).await?;
        let filler_tokens = many.checked_sub(few)? / 100;
        let fitted = Self {
            words,
            filler_tokens: filler_tokens.max(1),
            counted_by,
            model: None,
        };
        let mut sample = String::new();
        if fitted.words.len() < MIN_WORDS {
            return None;
        }
        fitted.write(0, 1000, &mut sample);
        (count(&sample).await? == 1000 + added).then_some(fitted)
    }

    /// Returns the lexicon, counted by an engine that serves `model`.
    #[must_use]
    pub fn with_model(self, model: &str) -> Self {
        Self {
            model: Some(model.into()),
            ..self
        }
    }

    /// Returns the source of the count for rows of requests to `model`.
    pub fn counted_for(&self, model: &str) -> &'static str {
        match &self.model {
            Some(counted) if **counted != *model => "other_model",
            _ => self.counted_by.name(),
        }
    }

    /// Appends `tokens` words, each with a space before it.
    fn write(&self, seed: u64, tokens: u64, text: &mut String) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        text.reserve(6 * tokens as usize);
        for _ in 0..tokens {
            text.push(' ');
            text.push_str(self.words[random.random_range(0..self.words.len())]);
        }
    }
}

fn spaced(words: &[&str]) -> String {
    words.iter().flat_map(|word| [" ", word]).collect()
}

/// Estimates the tokens of a text: one token for every ten letters of a word or part of ten, and
/// one for every other character that is not a space.
///
/// For English it is close to common tokenizers. Rows also have the exact count of the server.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(seed: u64, tokens: u64) -> String {
        Message::user(vec![Part::Words { seed, tokens }]).text(&Lexicon::default())
    }

    #[test]
    fn parts_stand_one_behind_the_other() {
        let parts = vec![
            Part::Repeated {
                unit: "ab ",
                times: 2,
            },
            Part::Literal("c".into()),
            Part::Shared(" d".into()),
        ];
        assert_eq!(Message::user(parts).text(&Lexicon::default()), "ab ab c d");
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

    proptest! {
        #[test]
        fn words_are_one_token_each_and_longer_texts_start_with_shorter_ones(seed: u64, tokens in 0u64..500, more in 0u64..100) {
            let text = words(seed, tokens);
            prop_assert_eq!(estimate_tokens(&text), tokens);
            prop_assert!(words(seed, tokens + more).starts_with(&text));
        }
    }

    async fn fit(count: impl Fn(&str) -> u64) -> Option<Lexicon> {
        Lexicon::fit(CountedBy::Tokenizer, async |text: &str| Some(count(text))).await
    }

    #[tokio::test]
    async fn fit_skips_words_of_several_tokens() {
        // A tokenizer with a start token, which splits words that begin with an s.
        let count = |text: &str| {
            1 + text
                .split_whitespace()
                .map(|w| 1 + u64::from(w.starts_with('s')))
                .sum::<u64>()
        };
        let fitted = fit(count).await.expect("a fit");
        assert!(
            fitted.words.len() > MIN_WORDS
                && !fitted.words.iter().any(|word| word.starts_with('s'))
        );
        assert_eq!(fitted.filler_tokens, 6, "`some` has two");
    }

    #[tokio::test]
    async fn counts_of_another_model_are_marked() {
        let count = async |text: &str| Some(text.split_whitespace().count() as u64);
        let fitted = Lexicon::fit(CountedBy::Engine, count)
            .await
            .expect("a fit")
            .with_model("m");
        assert_eq!(
            (fitted.counted_for("m"), fitted.counted_for("n")),
            ("engine", "other_model")
        );
        assert_eq!(Lexicon::default().counted_for("m"), "rule");
    }

    #[tokio::test]
    async fn a_tokenizer_of_letters_does_not_fit() {
        assert!(fit(|text| text.len() as u64).await.is_none());
        assert!(
            Lexicon::fit(CountedBy::Engine, async |_: &str| None)
                .await
                .is_none()
        );
    }
}
