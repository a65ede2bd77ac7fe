//! Transcripts of real engines, and the exchanges that they must give. The first line of each
//! transcript is a comment with the name of its engine.

use super::{Arrival, Exchange, Reader, TextPolicy, Usage};
use crate::driver::clock::Stamp;
use std::ops::RangeInclusive;

/// A transcript and its expected exchange. Times are numbers of events; the comment is number 0.
struct Transcript {
    name: &'static str,
    text: &'static str,
    first_chunk: u64,
    first_token: u64,
    first_answer: Option<u64>,
    /// The events with output.
    chunks: RangeInclusive<u64>,
    done: Option<u64>,
    finish_reason: &'static str,
    /// The prompt's tokens, cached tokens and generated tokens.
    usage: (u64, Option<u64>, u64),
    answer: &'static str,
}

/// Makes a transcript that begins with an event without output, unless its first chunk is event 1.
macro_rules! transcript {
    ($name:literal, $chunks:expr, $($field:ident: $value:expr),* $(,)?) => {
        Transcript {
            $($field: $value,)*
            ..Transcript {
                name: $name,
                text: include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/tests/fixtures/transcripts/",
                    $name,
                    ".sse"
                )),
                first_chunk: 1,
                first_token: *$chunks.start(),
                first_answer: Some(*$chunks.start()),
                chunks: $chunks,
                done: None,
                finish_reason: "length",
                usage: (0, None, 0),
                answer: "",
            }
        }
    };
}

fn transcripts() -> [Transcript; 8] {
    [
        transcript!(
            "vllm-chat",
            2..=6,
            done: Some(8),
            usage: (33, Some(0), 5),
            answer: "Hello! I'm here",
        ),
        transcript!(
            "vllm-continuous-usage",
            2..=5,
            done: Some(7),
            usage: (33, Some(0), 4),
            answer: "Hello! I'm",
        ),
        transcript!(
            "vllm-tool-call",
            2..=5,
            first_answer: None,
            done: Some(8),
            usage: (37, Some(0), 40),
        ),
        transcript!(
            "vllm-completions",
            1..=4,
            done: Some(6),
            usage: (3, Some(0), 4),
            answer: " time, the city",
        ),
        transcript!(
            "vllm-several-tokens",
            2..=7,
            done: Some(10),
            usage: (45, Some(0), 17),
            finish_reason: "stop",
            answer: "👨‍👩‍👧 👍",
        ),
        transcript!(
            "llamacpp-chat",
            2..=6,
            done: Some(9),
            usage: (33, Some(0), 5),
            answer: "Hello! I'm here",
        ),
        transcript!(
            "llamacpp-reasoning",
            2..=19,
            first_answer: Some(14),
            done: Some(22),
            usage: (15, Some(0), 24),
            finish_reason: "stop",
            answer: "\nFour.",
        ),
        transcript!(
            "transformers-chat",
            2..=7,
            usage: (33, None, 6),
            answer: "Hello! I'm here to",
        ),
    ]
}

/// Returns the exchange of a transcript that is read in pieces of this many bytes.
fn replay(text: &str, bytes: usize, text_policy: TextPolicy) -> Exchange {
    let mut reader = Reader::new(text_policy);
    let mut exchange = Exchange::default();
    for (number, event) in text.split_inclusive("\n\n").enumerate() {
        let arrival = Arrival {
            kernel: None,
            read: Stamp(number as u64),
        };
        for piece in event.as_bytes().chunks(bytes) {
            let fed = reader.feed(piece, arrival, &mut exchange);
            fed.unwrap_or_else(|failure| panic!("event {number}: {failure}"));
        }
    }
    exchange
}

fn event_number(arrival: Option<Arrival>) -> Option<u64> {
    arrival.map(|arrival| arrival.read.0)
}

#[test]
fn transcripts_of_real_engines_are_read() {
    for expected in transcripts() {
        for (bytes, text_policy) in [
            (usize::MAX, TextPolicy::Discard),
            (usize::MAX, TextPolicy::Keep),
            (7, TextPolicy::Discard),
            (1, TextPolicy::Keep),
        ] {
            let exchange = replay(expected.text, bytes, text_policy);
            check(&expected, &exchange);
            let answer = match text_policy {
                TextPolicy::Keep => expected.answer,
                TextPolicy::Discard => "",
            };
            assert_eq!(exchange.text, answer, "{}", expected.name);
        }
    }
}

fn check(expected: &Transcript, exchange: &Exchange) {
    let name = expected.name;
    assert_eq!(
        [
            event_number(exchange.first_chunk),
            event_number(exchange.first_token),
            event_number(exchange.first_answer),
            event_number(exchange.done),
        ],
        [
            Some(expected.first_chunk),
            Some(expected.first_token),
            expected.first_answer,
            expected.done,
        ],
        "{name}"
    );
    let chunks: Vec<u64> = exchange.chunks.iter().map(|stamp| stamp.0).collect();
    assert_eq!(
        chunks,
        expected.chunks.clone().collect::<Vec<_>>(),
        "{name}"
    );
    assert_eq!(
        exchange.chunk_tokens.per_chunk(chunks.len()).is_some(),
        name == "vllm-continuous-usage",
        "{name}"
    );
    assert_eq!(
        exchange.finish_reason.as_deref(),
        Some(expected.finish_reason),
        "{name}"
    );
    let Usage {
        prompt_tokens,
        completion_tokens,
        prompt_tokens_details,
    } = exchange.usage.expect("usage");
    let cached = prompt_tokens_details.and_then(|details| details.cached_tokens);
    let (prompt, expected_cached, generated) = expected.usage;
    assert_eq!(
        (prompt_tokens, cached, completion_tokens),
        (Some(prompt), expected_cached, Some(generated)),
        "{name}"
    );
}
