//! Texts that are written out only when they are sent, and how many tokens they have.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::sync::Arc;

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The text itself.
    Literal(String),
    /// The text itself, which others have too.
    Shared(Arc<str>),
    /// A text, repeated.
    Repeated {
        /// What is repeated.
        unit: &'static str,
        /// How often.
        times: usize,
    },
    /// Words drawn from the lexicon, one token each. The same seed begins with the same words.
    Words {
        /// What draws them.
        seed: u64,
        /// How many.
        tokens: u64,
    },
}

/// Who speaks, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: Arc<str>,
    /// The text, in pieces that stand one behind the other.
    pub parts: Vec<Part>,
}

impl Message {
    /// A message of the user.
    pub fn user(parts: Vec<Part>) -> Self {
        Self {
            role: "user".into(),
            parts,
        }
    }

    /// A message that sets the scene.
    pub fn system(parts: Vec<Part>) -> Self {
        Self {
            role: "system".into(),
            parts,
        }
    }

    /// The whole text.
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

/// Who counted the tokens of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CountedBy {
    /// The [rule](estimate_tokens).
    Rule,
    /// The model's tokenizer, from its file.
    Tokenizer,
    /// The engine, asked.
    Engine,
}

impl CountedBy {
    /// As rows have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Tokenizer => "tokenizer",
            Self::Engine => "engine",
        }
    }
}

/// Short common English words: one token each, with the space before them, for every tokenizer
/// that was met.
const WORDS: &str = include_str!("words.txt");

/// Fewer words than this make no text.
const FEWEST: usize = 100;

/// The sentence of the DUMMY workload.
pub const FILLER: &str = "This is some dummy text. ";

/// The words that texts are made of: each is one token.
#[derive(Clone, Debug)]
pub struct Lexicon {
    words: Vec<&'static str>,
    /// Tokens of the DUMMY sentence where it is repeated.
    pub filler_tokens: u64,
    /// By whose count.
    pub counted_by: CountedBy,
    /// Of which model, where an engine counted.
    model: Option<Arc<str>>,
}

impl Default for Lexicon {
    /// By the rule.
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
    /// The words that `count` counts as one token each; `None` where it does not answer, or where
    /// texts of them have another length than their words say.
    pub async fn fit(
        counted_by: CountedBy,
        mut count: impl AsyncFnMut(&str) -> Option<u64>,
    ) -> Option<Self> {
        let all = Self::default().words;
        // What a tokenizer adds to every text, such as a mark for its beginning.
        let once = count(&spaced(&all[..FEWEST])).await?;
        let added = (2 * once).checked_sub(count(&spaced(&all[..FEWEST]).repeat(2)).await?)?;
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
        let filler = [FILLER.repeat(10), FILLER.repeat(110)];
        let filler_tokens = (count(&filler[1])
            .await?
            .checked_sub(count(&filler[0]).await?)?)
            / 100;
        let fitted = Self {
            words,
            filler_tokens: filler_tokens.max(1),
            counted_by,
            model: None,
        };
        let mut sample = String::new();
        if fitted.words.len() < FEWEST {
            return None;
        }
        fitted.write(0, 1000, &mut sample);
        (count(&sample).await? == 1000 + added).then_some(fitted)
    }

    /// The same, as counted by an engine that serves `model`.
    #[must_use]
    pub fn of_model(self, model: &str) -> Self {
        Self {
            model: Some(model.into()),
            ..self
        }
    }

    /// Who counted, as rows of requests to `model` have it.
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
        fn words_are_a_token_each_and_begin_alike(seed: u64, tokens in 0u64..500, more in 0u64..100) {
            let text = words(seed, tokens);
            prop_assert_eq!(estimate_tokens(&text), tokens);
            prop_assert!(words(seed, tokens + more).starts_with(&text));
        }
    }

    async fn fit(count: impl Fn(&str) -> u64) -> Option<Lexicon> {
        Lexicon::fit(CountedBy::Tokenizer, async |text: &str| Some(count(text))).await
    }

    #[tokio::test]
    async fn words_of_several_tokens_are_left_out() {
        // A tokenizer with a mark for the beginning, which splits words that begin with an s.
        let count = |text: &str| {
            1 + text
                .split_whitespace()
                .map(|w| 1 + u64::from(w.starts_with('s')))
                .sum::<u64>()
        };
        let fitted = fit(count).await.expect("a fit");
        assert!(
            fitted.words.len() > FEWEST && !fitted.words.iter().any(|word| word.starts_with('s'))
        );
        assert_eq!(fitted.filler_tokens, 6, "`some` has two");
    }

    #[tokio::test]
    async fn the_count_of_one_model_is_not_that_of_another() {
        let count = async |text: &str| Some(text.split_whitespace().count() as u64);
        let fitted = Lexicon::fit(CountedBy::Engine, count)
            .await
            .expect("a fit")
            .of_model("m");
        assert_eq!(
            (fitted.counted_for("m"), fitted.counted_for("n")),
            ("engine", "other_model")
        );
        assert_eq!(Lexicon::default().counted_for("m"), "rule");
    }

    #[tokio::test]
    async fn a_tokenizer_of_letters_fits_nothing() {
        assert!(fit(|text| text.len() as u64).await.is_none());
        assert!(
            Lexicon::fit(CountedBy::Engine, async |_: &str| None)
                .await
                .is_none()
        );
    }
}
