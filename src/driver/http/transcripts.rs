//! What real engines sent, event by event, and what is to be seen in it. Each transcript names its
//! engine in its first line, a comment.

use super::{Arrival, Exchange, Reader, Usage};
use crate::driver::clock::Stamp;

/// What is to be seen in a transcript. Moments are events, the first of them the comment, number 0.
struct Case {
    name: &'static str,
    text: &'static str,
    first_chunk: u64,
    first_token: u64,
    first_answer: Option<u64>,
    /// The events with output.
    chunks: std::ops::RangeInclusive<u64>,
    done: Option<u64>,
    finish_reason: &'static str,
    /// Prompt, cached and generated tokens.
    usage: (u64, Option<u64>, u64),
    answer: &'static str,
}

macro_rules! transcript {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/fixtures/transcripts/",
                $name,
                ".sse"
            )),
        )
    };
}

fn cases() -> [Case; 8] {
    let case = |(name, text),
                chunks: std::ops::RangeInclusive<u64>,
                done,
                usage,
                finish_reason,
                answer| Case {
        name,
        text,
        first_chunk: 1,
        first_token: *chunks.start(),
        first_answer: Some(*chunks.start()),
        chunks,
        done,
        finish_reason,
        usage,
        answer,
    };
    let hello = "Hello! I'm here";
    let some = Some;
    [
        case(
            transcript!("vllm-chat"),
            2..=6,
            some(8),
            (33, some(0), 5),
            "length",
            hello,
        ),
        case(
            transcript!("vllm-continuous-usage"),
            2..=5,
            some(7),
            (33, some(0), 4),
            "length",
            "Hello! I'm",
        ),
        Case {
            first_answer: None,
            ..case(
                transcript!("vllm-tool-call"),
                2..=5,
                some(8),
                (37, some(0), 40),
                "length",
                "",
            )
        },
        case(
            transcript!("vllm-completions"),
            1..=4,
            some(6),
            (3, some(0), 4),
            "length",
            " time, the city",
        ),
        case(
            transcript!("vllm-several-tokens"),
            2..=7,
            some(10),
            (45, some(0), 17),
            "stop",
            "👨‍👩‍👧 👍",
        ),
        case(
            transcript!("llamacpp-chat"),
            2..=6,
            some(9),
            (33, some(0), 5),
            "length",
            hello,
        ),
        Case {
            first_answer: some(14),
            ..case(
                transcript!("llamacpp-reasoning"),
                2..=19,
                some(22),
                (15, some(0), 24),
                "stop",
                "\nFour.",
            )
        },
        case(
            transcript!("transformers-chat"),
            2..=7,
            None,
            (33, None, 6),
            "length",
            "Hello! I'm here to",
        ),
    ]
}

/// The transcript as it is seen when it is read in pieces of so many bytes.
fn replayed(text: &str, bytes: usize, keep_text: bool) -> Exchange {
    let (mut reader, mut seen) = (Reader::new(keep_text), Exchange::default());
    for (number, event) in text.split_inclusive("\n\n").enumerate() {
        let arrival = Arrival {
            kernel: None,
            read: Stamp(number as u64),
        };
        for piece in event.as_bytes().chunks(bytes) {
            let fed = reader.feed(piece, arrival, &mut seen);
            fed.unwrap_or_else(|failure| panic!("event {number}: {failure}"));
        }
    }
    seen
}

#[test]
fn what_real_engines_send_is_seen_as_it_is() {
    for case in cases() {
        for (bytes, keep_text) in [
            (usize::MAX, false),
            (usize::MAX, true),
            (7, false),
            (1, true),
        ] {
            let seen = replayed(case.text, bytes, keep_text);
            let at = |arrival: Option<Arrival>| arrival.map(|arrival| arrival.read.0);
            let moments = [
                at(seen.first_chunk),
                at(seen.first_token),
                at(seen.first_answer),
                at(seen.done),
            ];
            let expected = [
                Some(case.first_chunk),
                Some(case.first_token),
                case.first_answer,
                case.done,
            ];
            assert_eq!(moments, expected, "{} {bytes}", case.name);
            let chunks: Vec<u64> = seen.chunks.iter().map(|stamp| stamp.0).collect();
            assert_eq!(
                chunks,
                case.chunks.clone().collect::<Vec<_>>(),
                "{} {bytes}",
                case.name
            );
            let told = seen.chunk_tokens.of_each(chunks.len());
            assert_eq!(
                told.is_some(),
                case.name == "vllm-continuous-usage",
                "{}: {told:?}",
                case.name
            );
            assert_eq!(
                seen.finish_reason.as_deref(),
                Some(case.finish_reason),
                "{}",
                case.name
            );
            assert_eq!(
                seen.text,
                if keep_text { case.answer } else { "" },
                "{}",
                case.name
            );
            let Usage {
                prompt_tokens,
                completion_tokens,
                prompt_tokens_details,
            } = seen.usage.expect("usage");
            let cached = prompt_tokens_details.and_then(|details| details.cached_tokens);
            let (prompt, cached_expected, generated) = case.usage;
            let expected = (Some(prompt), cached_expected, Some(generated));
            assert_eq!(
                (prompt_tokens, cached, completion_tokens),
                expected,
                "{}",
                case.name
            );
        }
    }
}
