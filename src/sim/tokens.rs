//! Tokens without a tokenizer file: a rule that is close to real tokenizers for English text.
//!
//! - A run of letters is split into pieces of at most six bytes, a run of digits into pieces of at
//!   most three.
//! - Any other character is a separate token.
//! - White space matches to the next token. White space with a line break is one token.
//!
//! So `"This is some dummy text. "` has six tokens. The id of a token is a hash of its text. A chat
//! prompt has the layout of Llama 3: one token at the start, five per message, four to start the
//! answer.

/// A token: the hash of its text.
pub(crate) type TokenId = u32;

/// The number of tokens of a text, without those that the server adds.
#[cfg(test)]
pub(crate) fn count(text: &str) -> usize {
    pieces(text).count()
}

/// The tokens of a text, without those that the server adds.
pub(crate) fn ids(text: &str) -> impl Iterator<Item = TokenId> + '_ {
    pieces(text).map(id)
}

/// The tokens of a plain prompt: the start token, then those of the text.
pub(crate) fn prompt_ids(text: &str) -> Vec<TokenId> {
    std::iter::once(id(BEGIN)).chain(ids(text)).collect()
}

/// The end of a chat prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GenerationPrompt {
    /// The tokens that start the answer, as for a completion.
    Add,
    /// The last message.
    Omit,
}

/// The tokens of a conversation of (role, content) pairs.
pub(crate) fn chat_ids<'a>(
    messages: impl IntoIterator<Item = (&'a str, &'a str)>,
    generation: GenerationPrompt,
) -> Vec<TokenId> {
    let mut tokens = vec![id(BEGIN)];
    for (role, content) in messages {
        tokens.extend(header(role));
        tokens.extend(ids(content));
        tokens.push(id(END_OF_TURN));
    }
    if generation == GenerationPrompt::Add {
        tokens.extend(header("assistant"));
    }
    tokens
}

/// The hash of each prefix whose length is a multiple of `every` tokens. Hashes are equal if all
/// tokens up to them are equal.
pub(crate) fn prefix_hashes(salt: u64, tokens: &[TokenId], every: usize) -> Vec<u64> {
    let mut chain = salt;
    let mut hashes = Vec::with_capacity(tokens.len() / every);
    for block in tokens.chunks_exact(every) {
        chain = block
            .iter()
            .fold(chain, |chain, token| mix(chain ^ u64::from(*token)));
        hashes.push(chain);
    }
    hashes
}

/// The hash of a sequence of tokens.
pub(crate) fn sequence_hash(salt: u64, tokens: &[TokenId]) -> u64 {
    tokens
        .iter()
        .fold(salt, |chain, token| mix(chain ^ u64::from(*token)))
}

/// Mixes the bits of a number (the finalizer of `splitmix64`).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const BEGIN: &str = "<|begin_of_text|>";
const END_OF_TURN: &str = "<|eot_id|>";
const LETTERS_BYTES: usize = 6;
const DIGITS_BYTES: usize = 3;

fn header(role: &str) -> [TokenId; 4] {
    [
        id("<|start_header_id|>"),
        id(role),
        id("<|end_header_id|>"),
        id("\n\n"),
    ]
}

/// FNV-1a over the bytes of the token.
fn id(piece: &str) -> TokenId {
    piece.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let trimmed = rest.trim_start();
        let space = &rest[..rest.len() - trimmed.len()];
        rest = trimmed;
        if space.contains('\n') {
            return Some("\n");
        }
        let first = rest.chars().next()?;
        let (piece, tail) = rest.split_at(piece_bytes(rest, first));
        rest = tail;
        Some(piece)
    })
}

fn piece_bytes(text: &str, first: char) -> usize {
    if first.is_alphabetic() {
        run_bytes(text, LETTERS_BYTES, char::is_alphabetic)
    } else if first.is_numeric() {
        run_bytes(text, DIGITS_BYTES, char::is_numeric)
    } else {
        first.len_utf8()
    }
}

/// The bytes of the leading run of matching characters: at most `limit`, at least one character.
fn run_bytes(text: &str, limit: usize, matches: impl Fn(char) -> bool) -> usize {
    let mut end = 0;
    for character in text.chars() {
        let next = end + character.len_utf8();
        if !matches(character) || (end > 0 && next > limit) {
            break;
        }
        end = next;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(pieces(text).collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn text_is_split_by_the_rule() {
        check(
            "This is some dummy text. ",
            &["This", "is", "some", "dummy", "text", "."],
        );
        check("Index 12345?", &["Index", "123", "45", "?"]);
        check(
            "internationalisation",
            &["intern", "ationa", "lisati", "on"],
        );
        check("a\n\n b  c", &["a", "\n", "b", "c"]);
        check("größer 東京都", &["größ", "er", "東京", "都"]);
        check("", &[]);
    }

    #[test]
    fn chat_adds_ten_tokens_to_one_message() {
        let alone = chat_ids(
            [("user", "This is some dummy text. ")],
            GenerationPrompt::Add,
        );
        assert_eq!(alone.len(), 6 + 10);
        assert_eq!(
            chat_ids([("user", "Hello")], GenerationPrompt::Omit).len(),
            1 + 6
        );
    }

    #[test]
    fn next_turn_starts_with_the_previous_turn_and_its_answer() {
        let first = chat_ids([("user", "Hello")], GenerationPrompt::Add);
        let next = chat_ids(
            [("user", "Hello"), ("assistant", "moon river")],
            GenerationPrompt::Add,
        );
        let answered: Vec<_> = first.into_iter().chain(ids("moon river")).collect();
        assert!(next.starts_with(&answered));
    }

    proptest! {
        #[test]
        fn any_text_is_split_without_loss(text in any::<String>()) {
            let kept: String = pieces(&text).filter(|piece| *piece != "\n").collect();
            let expected: String = text.split_whitespace().collect();
            prop_assert_eq!(kept, expected);
        }

        #[test]
        fn prefix_hashes_are_equal_up_to_the_first_changed_block(
            tokens in prop::collection::vec(0u32..4, 1..80), change in any::<prop::sample::Index>(),
        ) {
            let at = change.index(tokens.len());
            let mut other = tokens.clone();
            other[at] += 1;
            let ours = prefix_hashes(0, &tokens, 4);
            let theirs = prefix_hashes(0, &other, 4);
            let equal = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(equal, (at / 4).min(ours.len()));
            prop_assert!(ours.iter().zip(&theirs).skip(equal).all(|(a, b)| a != b));
        }
    }
}
