//! The text the model writes: seeded words, one word a token, and where it ends.

use super::tokens::{self, TokenId, mix};

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model was done, or wrote a stop string.
    Stop,
    /// The answer reached the longest length asked for.
    Length,
}

impl FinishReason {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// What bounds an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// Most tokens of the answer, at least 1.
    pub max_tokens: u32,
    /// Fewest tokens of the answer: nothing stops it earlier.
    pub min_tokens: u32,
    /// Tokens after which the model is done by itself; `None` when it must go on (`ignore_eos`).
    pub natural_tokens: Option<u32>,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
}

/// One answer, known in full before its first token is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    seed: u64,
    tokens: u32,
    kept_bytes: usize,
    finish: FinishReason,
}

impl Answer {
    /// The answer this seed gives within these bounds.
    pub fn new(seed: u64, bounds: &Bounds) -> Self {
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

    fn cut_at(self, bounds: &Bounds) -> Self {
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

    /// Number of tokens.
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Why it ends after its last token.
    pub fn finish(&self) -> FinishReason {
        self.finish
    }

    /// The text of one token, given the bytes written before it.
    pub fn piece(&self, index: u32, bytes_before: usize) -> &'static str {
        let piece = word(self.seed, index);
        let kept = self
            .kept_bytes
            .saturating_sub(bytes_before)
            .min(piece.len());
        &piece[..kept]
    }

    /// The text of the first `tokens` tokens.
    pub fn text(&self, tokens: u32) -> String {
        let mut text = String::new();
        for index in 0..tokens.min(self.tokens) {
            let piece = self.piece(index, text.len());
            text.push_str(piece);
        }
        text
    }

    /// The tokens as the tokenizer would give them, whether or not a stop string hides the last ones.
    pub fn ids(&self) -> impl Iterator<Item = TokenId> + '_ {
        (0..self.tokens).flat_map(|index| tokens::ids(word(self.seed, index)))
    }
}

/// How many tokens the model writes by itself: uniform between a half and one and a half of the mean.
pub fn natural_tokens(seed: u64, mean_tokens: u32) -> u32 {
    let low = mean_tokens.div_ceil(2);
    low + (mix(seed ^ 0x006c_656e_6774_6873) % (u64::from(mean_tokens) + 1)) as u32
}

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

    fn bounds(max_tokens: u32) -> Bounds {
        Bounds {
            max_tokens,
            min_tokens: 0,
            natural_tokens: None,
            stop: vec![],
        }
    }

    #[test]
    fn one_word_is_one_token() {
        let answer = Answer::new(7, &bounds(500));
        assert_eq!(tokens::count(&answer.text(500)), 500);
        assert_eq!(
            answer.ids().collect::<Vec<_>>(),
            tokens::ids(&answer.text(500)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_seed_decides_the_text() {
        let text = |seed| Answer::new(seed, &bounds(20)).text(20);
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    #[test]
    fn an_answer_ends_by_itself_unless_it_must_go_on() {
        let natural = Bounds {
            natural_tokens: Some(5),
            ..bounds(9)
        };
        let ends = |bounds: &Bounds| {
            (
                Answer::new(1, bounds).tokens(),
                Answer::new(1, bounds).finish(),
            )
        };
        assert_eq!(ends(&natural), (5, FinishReason::Stop));
        assert_eq!(
            ends(&Bounds {
                min_tokens: 7,
                ..natural.clone()
            }),
            (7, FinishReason::Stop)
        );
        assert_eq!(
            ends(&Bounds {
                max_tokens: 3,
                ..natural
            }),
            (3, FinishReason::Length)
        );
        assert_eq!(ends(&bounds(9)), (9, FinishReason::Length));
    }

    #[test]
    fn a_stop_string_ends_the_text_before_itself() {
        let whole = Answer::new(3, &bounds(10)).text(10);
        let words: Vec<_> = whole.split(' ').collect();
        let stop = vec![format!("{} {}", words[4], words[5])];
        let answer = Answer::new(
            3,
            &Bounds {
                stop: stop.clone(),
                ..bounds(10)
            },
        );
        assert_eq!((answer.tokens(), answer.finish()), (6, FinishReason::Stop));
        assert_eq!(answer.text(6), format!("{} ", words[..4].join(" ")));
        let late = Answer::new(
            3,
            &Bounds {
                stop,
                min_tokens: 9,
                ..bounds(10)
            },
        );
        assert_eq!(late.tokens(), 9);
    }

    #[test]
    fn natural_lengths_lie_around_the_mean() {
        let lengths: Vec<_> = (0..2_000).map(|seed| natural_tokens(seed, 100)).collect();
        let mean = f64::from(lengths.iter().sum::<u32>()) / 2_000.0;
        assert!(lengths.iter().all(|tokens| (50..=150).contains(tokens)));
        assert!((mean - 100.0).abs() < 3.0, "{mean}");
    }
}
