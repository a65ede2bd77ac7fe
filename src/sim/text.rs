//! The generated text: seeded words, one token per word, with its length.

use super::tokens::{self, TokenId, mix};

/// The reason why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinishReason {
    /// The model stopped, or wrote a stop string.
    Stop,
    /// The answer reached its maximum length.
    Length,
}

impl FinishReason {
    /// The API's name of the reason.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// The limits of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AnswerBounds {
    /// Maximum number of tokens, at least 1.
    pub(crate) max_tokens: u32,
    /// Minimum number of tokens.
    pub(crate) min_tokens: u32,
    /// Number of tokens after which the model stops; `None` with `ignore_eos`.
    pub(crate) natural_tokens: Option<u32>,
    /// Texts that end the answer, without being part of it.
    pub(crate) stop: Vec<String>,
}

/// One answer, known completely before its first token is due.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AnswerText {
    seed: u64,
    tokens: u32,
    kept_bytes: usize,
    finish: FinishReason,
}

impl AnswerText {
    /// Returns the answer of a seed.
    pub(crate) fn new(seed: u64, bounds: &AnswerBounds) -> Self {
        let natural = bounds
            .natural_tokens
            .map(|tokens| tokens.max(bounds.min_tokens).max(1));
        let answer = match natural {
            Some(tokens) if tokens < bounds.max_tokens => {
                Self::whole(seed, tokens, FinishReason::Stop)
            }
            _ => Self::whole(seed, bounds.max_tokens, FinishReason::Length),
        };
        answer.cut_at(bounds)
    }

    fn whole(seed: u64, tokens: u32, finish: FinishReason) -> Self {
        Self {
            seed,
            tokens,
            kept_bytes: usize::MAX,
            finish,
        }
    }

    fn cut_at(self, bounds: &AnswerBounds) -> Self {
        if bounds.stop.iter().all(String::is_empty) {
            return self;
        }
        let mut text = String::new();
        for index in 0..self.tokens {
            text.push_str(word(self.seed, index));
            if index + 1 < bounds.min_tokens {
                continue;
            }
            if let Some(kept_bytes) = first_stop(&text, &bounds.stop) {
                return Self {
                    tokens: index + 1,
                    kept_bytes,
                    finish: FinishReason::Stop,
                    ..self
                };
            }
        }
        self
    }

    /// The number of tokens.
    pub(crate) fn tokens(&self) -> u32 {
        self.tokens
    }

    /// The reason why it ends after its last token.
    pub(crate) fn finish(&self) -> FinishReason {
        self.finish
    }

    /// The text of one token, after `bytes_before` written bytes.
    pub(crate) fn piece(&self, index: u32, bytes_before: usize) -> &'static str {
        let piece = word(self.seed, index);
        let kept = self
            .kept_bytes
            .saturating_sub(bytes_before)
            .min(piece.len());
        &piece[..kept]
    }

    /// The text of the first `tokens` tokens.
    pub(crate) fn text(&self, tokens: u32) -> String {
        let mut text = String::new();
        for index in 0..tokens.min(self.tokens) {
            let piece = self.piece(index, text.len());
            text.push_str(piece);
        }
        text
    }

    /// The ids of all tokens, including those that a stop string hides.
    pub(crate) fn ids(&self) -> impl Iterator<Item = TokenId> + '_ {
        (0..self.tokens).flat_map(|index| tokens::ids(word(self.seed, index)))
    }
}

/// The number of tokens of an answer without a limit: uniform from 0.5 to 1.5 times the mean.
pub(crate) fn natural_tokens(seed: u64, mean_tokens: u32) -> u32 {
    let low = mean_tokens.div_ceil(2);
    low + (mix(seed ^ 0x006c_656e_6774_6873) % (u64::from(mean_tokens) + 1)) as u32
}

/// The position of the first stop string.
fn first_stop(text: &str, stop: &[String]) -> Option<usize> {
    stop.iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.find(stop.as_str()))
        .min()
}

fn word(seed: u64, index: u32) -> &'static str {
    let word = WORDS[(mix(seed ^ u64::from(index)) % WORDS.len() as u64) as usize];
    if index == 0 { &word[1..] } else { word }
}

const WORDS: [&str; 64] = [
    " amber", " apple", " arrow", " autumn", " beacon", " birch", " bridge", " bronze", " candle",
    " canyon", " cedar", " cloud", " copper", " coral", " cotton", " dawn", " delta", " desert",
    " dune", " eagle", " ember", " falcon", " fern", " field", " flint", " forest", " garden",
    " glass", " grove", " harbor", " hazel", " hill", " island", " ivory", " jade", " lake",
    " linen", " maple", " marble", " meadow", " mint", " moon", " moss", " north", " oak",
    " ocean", " olive", " orchid", " pearl", " pine", " plum", " quartz", " rain", " reed",
    " river", " sage", " sand", " shore", " silver", " stone", " valley", " willow", " winter",
    " wren",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(max_tokens: u32) -> AnswerBounds {
        AnswerBounds {
            max_tokens,
            min_tokens: 0,
            natural_tokens: None,
            stop: vec![],
        }
    }

    #[test]
    fn one_word_has_one_token() {
        let answer = AnswerText::new(7, &bounds(500));
        assert_eq!(tokens::count(&answer.text(500)), 500);
        assert_eq!(
            answer.ids().collect::<Vec<_>>(),
            tokens::ids(&answer.text(500)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn answer_text_depends_on_the_seed() {
        let answer = AnswerText::new(1, &bounds(20));
        assert_eq!(answer, AnswerText::new(1, &bounds(20)));
        assert_ne!(answer.text(20), AnswerText::new(2, &bounds(20)).text(20));
    }

    #[test]
    fn answer_ends_at_its_natural_length_or_its_maximum() {
        let natural = AnswerBounds {
            natural_tokens: Some(5),
            ..bounds(9)
        };
        let at_least_7 = AnswerBounds {
            min_tokens: 7,
            ..natural.clone()
        };
        let at_most_3 = AnswerBounds {
            max_tokens: 3,
            ..natural.clone()
        };
        for (bounds, tokens, finish) in [
            (natural, 5, FinishReason::Stop),
            (at_least_7, 7, FinishReason::Stop),
            (at_most_3, 3, FinishReason::Length),
            (bounds(9), 9, FinishReason::Length),
        ] {
            let answer = AnswerText::new(1, &bounds);
            assert_eq!((answer.tokens(), answer.finish()), (tokens, finish));
        }
    }

    #[test]
    fn stop_string_ends_the_text_and_is_removed() {
        let whole = AnswerText::new(3, &bounds(10)).text(10);
        let words: Vec<_> = whole.split(' ').collect();
        let stop = vec![format!("{} {}", words[4], words[5])];
        let answer = AnswerText::new(
            3,
            &AnswerBounds {
                stop: stop.clone(),
                ..bounds(10)
            },
        );
        assert_eq!((answer.tokens(), answer.finish()), (6, FinishReason::Stop));
        assert_eq!(answer.text(6), format!("{} ", words[..4].join(" ")));
        let late = AnswerText::new(
            3,
            &AnswerBounds {
                stop,
                min_tokens: 9,
                ..bounds(10)
            },
        );
        assert_eq!(late.tokens(), 9);
    }

    #[test]
    fn natural_lengths_are_distributed_around_the_mean() {
        let lengths: Vec<_> = (0..2_000).map(|seed| natural_tokens(seed, 100)).collect();
        let mean = f64::from(lengths.iter().sum::<u32>()) / 2_000.0;
        assert!(lengths.iter().all(|tokens| (50..=150).contains(tokens)));
        assert!((mean - 100.0).abs() < 3.0, "{mean}");
    }
}
