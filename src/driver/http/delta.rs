//! What one event of an OpenAI completion stream says.

use super::sse::Frame;
use super::tokens::Count;
use crate::driver::secrets;
use crate::driver::text::is_harmless;
use memchr::memmem;
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// Token counts as the server reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the prompt, chat template included.
    #[serde(deserialize_with = "whole")]
    pub prompt_tokens: Option<u64>,
    /// Tokens generated.
    #[serde(deserialize_with = "whole")]
    pub completion_tokens: Option<u64>,
    /// What is known of the prompt.
    pub prompt_tokens_details: Option<PromptDetails>,
}

/// The part of [`Usage`] that tells a cached prompt from a computed one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PromptDetails {
    /// Prompt tokens that some cache held.
    #[serde(deserialize_with = "whole")]
    pub cached_tokens: Option<u64>,
}

/// Reads a whole number: some servers write `5.0`.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    // The largest below which an f64 is exact.
    const LARGEST: f64 = 9e15;
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let whole = || {
        number
            .as_f64()
            .filter(|n| (0.0..LARGEST).contains(n) && n.fract() == 0.0)
    };
    let read = number.as_u64().or_else(|| whole().map(|n| n as u64));
    match read {
        None => Err(D::Error::custom(format!(
            "expected a whole number, found {number}"
        ))),
        Some(read) if read > MOST_TOKENS => Err(D::Error::custom(format!(
            "expected at most {MOST_TOKENS} tokens, found {number}"
        ))),
        Some(read) => Ok(Some(read)),
    }
}

/// No request has more tokens than this: a larger count is a defect of the server.
const MOST_TOKENS: u64 = 1_000_000_000;

/// One event, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// It has a choice, be it only the role: where vLLM's own clients stop the clock.
    pub choice: bool,
    /// It has output: content, reasoning, a tool call or a refusal, not empty.
    pub output: bool,
    /// It has content, not empty.
    pub answer: bool,
    /// The content, where it was asked for.
    pub text: Option<String>,
    /// Why the generation ended.
    pub finish_reason: Option<String>,
    /// The token counts.
    pub usage: Option<Usage>,
    /// What it tells of the tokens so far.
    pub count: Option<Count>,
}

/// What an event turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// `[DONE]`: the stream is complete.
    Done,
    /// A part of the answer.
    Delta(Delta),
    /// `{"error": ...}`: a failure, whatever the HTTP status said.
    Error(String),
    /// An event that the API does not have: a ping, say. An excerpt.
    Unknown(String),
    /// Not what the API promises.
    Invalid(String),
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    timings: Option<Timings>,
    #[serde(default)]
    error: Option<serde_json::Value>,
    #[serde(default)]
    object: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<serde_json::Value>,
    #[serde(default)]
    code: Option<IgnoredAny>,
}

/// llama.cpp's.
#[derive(Deserialize)]
struct Timings {
    #[serde(default, deserialize_with = "whole")]
    predicted_n: Option<u64>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<Message<'a>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    token_ids: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(default)]
    tool_calls: Option<Vec<IgnoredAny>>,
    /// The form of `tool_calls` before 2024.
    #[serde(default)]
    function_call: Option<IgnoredAny>,
    #[serde(default)]
    audio: Option<IgnoredAny>,
}

/// A text, or a list of parts, as Mistral's API sends it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Parts(#[serde(borrow)] Vec<Part<'a>>),
}

/// A part of a content: a text, or something else that is output, a piece of reasoning, say.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

impl<'a> Content<'a> {
    /// Its text, and whether it has output that is not text.
    fn split(self) -> (Cow<'a, str>, bool) {
        match self {
            Self::Text(text) => (text, false),
            Self::Parts(parts) => {
                let other = parts.iter().any(|part| part.text.is_none());
                (
                    parts
                        .into_iter()
                        .filter_map(|part| part.text)
                        .collect::<String>()
                        .into(),
                    other,
                )
            }
        }
    }
}

/// Reads an event whole.
pub fn read(frame: Frame<'_>, keep_text: bool) -> Event {
    let data = frame.data.trim_ascii();
    if data == b"[DONE]" {
        return Event::Done;
    }
    if frame.name == b"error" {
        return Event::Error(error_of(data));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return Event::Invalid(format!("not UTF-8: `{}`", excerpt(data)));
    };
    match serde_json::from_str::<Wire<'_>>(text) {
        Err(e) => Event::Invalid(format!("{e} in `{}`", excerpt(data))),
        Ok(Wire {
            error: Some(error), ..
        }) => Event::Error(error_text(&error)),
        Ok(wire) if wire.choices.is_none() && wire.usage.is_none() => other(&wire, data),
        Ok(wire) => Event::Delta(delta(wire, keep_text)),
    }
}

/// Returns the event for data with neither `choices` nor `usage`: an error under another name, or an event
/// that other clients skip as well.
fn other(wire: &Wire<'_>, data: &[u8]) -> Event {
    let is_error =
        wire.object.as_ref().is_some_and(|object| object == "error") || wire.code.is_some();
    match &wire.message {
        Some(message) if is_error => Event::Error(error_text(message)),
        _ => Event::Unknown(excerpt(data)),
    }
}

/// Whether an event is one more piece of content and nothing else, without reading it whole.
///
/// `false` means "look closer". Quotes inside a JSON string are escaped, so the needles
/// cannot stand in the generated text.
pub fn is_plain_content(data: &[u8]) -> bool {
    let has = |needle: &[u8]| memmem::find(data, needle).is_some();
    has(br#""finish_reason":null"#)
        && !has(br#""usage":{"#)
        && !has(br#""error""#)
        && !has(br#""token_ids":["#)
        && !has(br#""timings":{"#)
        && (after(data, br#""content":""#).is_some_and(|next| next != b'"')
            || after(data, br#""text":""#).is_some_and(|next| next != b'"'))
        && std::str::from_utf8(data).is_ok()
}

/// What the plain events of one stream have in common: servers write the same before and behind
/// each piece of content.
#[derive(Debug, Default)]
pub struct Shape {
    before: Vec<u8>,
    behind: Vec<u8>,
}

impl Shape {
    /// [`is_plain_content`], by comparison with the event before where that suffices.
    pub fn is_plain_content(&mut self, data: &[u8]) -> bool {
        if self.fits(data) {
            return true;
        }
        let plain = is_plain_content(data);
        if plain {
            self.learn(data);
        }
        plain
    }

    /// Whether `data` differs from the event before in its content alone, which is not empty. A
    /// quote or a final backslash there needs a closer look.
    fn fits(&self, data: &[u8]) -> bool {
        let frame = self.before.len() + self.behind.len();
        if self.before.is_empty() || data.len() <= frame {
            return false;
        }
        let (before, rest) = data.split_at(self.before.len());
        let (content, behind) = rest.split_at(rest.len() - self.behind.len());
        before == self.before
            && behind == self.behind
            && content.last() != Some(&b'\\')
            && memchr::memchr(b'"', content).is_none()
            && std::str::from_utf8(content).is_ok()
    }

    fn learn(&mut self, data: &[u8]) {
        let start = [&br#""content":""#[..], br#""text":""#]
            .into_iter()
            .find_map(|key| {
                let at = memmem::find(data, key)? + key.len();
                (data.get(at) != Some(&b'"')).then_some(at)
            });
        let Some(start) = start else { return };
        // Up to the first quote, be it escaped: then the next event takes the closer look as well.
        let Some(length) = memchr::memchr(b'"', &data[start..]) else {
            return;
        };
        self.before.clear();
        self.before.extend_from_slice(&data[..start]);
        self.behind.clear();
        self.behind.extend_from_slice(&data[start + length..]);
    }
}

fn after(data: &[u8], needle: &[u8]) -> Option<u8> {
    memmem::find(data, needle).and_then(|at| data.get(at + needle.len()).copied())
}

fn delta(wire: Wire<'_>, keep_text: bool) -> Delta {
    let usage = wire.usage;
    let so_far = usage
        .and_then(|usage| usage.completion_tokens)
        .map(|n| Count::SoFar("usage", n));
    let timed = || {
        wire.timings
            .as_ref()?
            .predicted_n
            .map(|n| Count::SoFar("timings", n))
    };
    let count = so_far.or_else(timed);
    let Some(choice) = wire.choices.and_then(|choices| choices.into_iter().next()) else {
        return Delta {
            usage,
            count,
            ..Delta::default()
        };
    };
    let filled = |text: &Option<Cow<'_, str>>| text.as_ref().is_some_and(|text| !text.is_empty());
    let has_other = choice.delta.as_ref().is_some_and(|d| {
        filled(&d.reasoning)
            || filled(&d.reasoning_content)
            || filled(&d.refusal)
            || d.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
            || d.function_call.is_some()
            || d.audio.is_some()
    });
    let here = choice
        .token_ids
        .map(|ids| Count::Here("token_ids", ids.len() as u64));
    let content = choice
        .delta
        .and_then(|delta| delta.content)
        .map(Content::split);
    let (content, has_parts) =
        content.map_or((choice.text, false), |(text, other)| (Some(text), other));
    let answer = filled(&content);
    Delta {
        choice: true,
        output: answer || has_other || has_parts,
        answer,
        text: content.filter(|_| keep_text).map(Cow::into_owned),
        finish_reason: choice.finish_reason.map(Cow::into_owned),
        usage,
        count: count.or(here),
    }
}

/// The message of an error body, `detail` in those of `FastAPI`; else the body.
pub fn error_text(error: &serde_json::Value) -> String {
    let nested = error.get("error").unwrap_or(error);
    let message = nested
        .get("message")
        .or_else(|| nested.get("detail"))
        .unwrap_or(nested);
    message
        .as_str()
        .map_or_else(|| message.to_string(), str::to_owned)
}

/// The message of an error body as a server sent it, safe to print.
pub fn error_of(body: &[u8]) -> String {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(json) if json.get("choices").is_some() => {
            format!(
                "one whole answer, as if `stream` were not true: `{}`",
                excerpt(body)
            )
        }
        Ok(json) => excerpt(error_text(&json).as_bytes()),
        Err(_) => excerpt(body),
    }
}

/// The start of what a server sent, safe to print: on one line, without secrets.
pub fn excerpt(data: &[u8]) -> String {
    const SHOWN: usize = 200;
    const LOOKED_AT: usize = 64 * 1024;
    // Secrets first: half of a secret would not be recognized.
    let text = secrets::scrub(&String::from_utf8_lossy(&data[..data.len().min(LOOKED_AT)]));
    let shown = &text[..text.floor_char_boundary(SHOWN)];
    let dots = if shown.len() < text.len() { "…" } else { "" };
    let words: Vec<&str> = shown.split_whitespace().collect();
    words
        .join(" ")
        .chars()
        .map(|c| if is_harmless(c) { c } else { '\u{fffd}' })
        .collect::<String>()
        + dots
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn plain(data: &[u8]) -> Frame<'_> {
        Frame { name: b"", data }
    }

    fn parsed(data: &str) -> Delta {
        match read(plain(data.as_bytes()), true) {
            Event::Delta(delta) => delta,
            other => panic!("{other:?}"),
        }
    }

    /// Lines as vLLM 0.24, llama.cpp and reasoning or tool-calling models send them.
    #[test]
    fn events_of_real_engines() {
        let role = parsed(
            r#"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null}"#,
        );
        assert_eq!(
            (role.choice, role.output, role.answer),
            (true, false, false)
        );
        let null = parsed(
            r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}]}"#,
        );
        assert_eq!((null.choice, null.output), (true, false));
        let content = parsed(
            r#"{"choices":[{"index":0,"delta":{"content":" The \"one\""},"finish_reason":null}]}"#,
        );
        assert_eq!((content.output, content.answer), (true, true));
        assert_eq!(content.text.as_deref(), Some(" The \"one\""));
        let reasoning =
            parsed(r#"{"choices":[{"delta":{"reasoning_content":"Hm"},"finish_reason":null}]}"#);
        assert_eq!((reasoning.output, reasoning.answer), (true, false));
        let tool = parsed(
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}}]}}]}"#,
        );
        assert_eq!((tool.output, tool.answer), (true, false));
        let completion = parsed(
            r#"{"object":"text_completion","choices":[{"index":0,"text":" a","finish_reason":"length"}]}"#,
        );
        assert_eq!(
            (completion.answer, completion.finish_reason.as_deref()),
            (true, Some("length"))
        );
        let usage = parsed(
            r#"{"choices":[],"usage":{"prompt_tokens":12025,"total_tokens":12057,"completion_tokens":32,"prompt_tokens_details":{"cached_tokens":11776}}}"#,
        );
        assert!(!usage.choice);
        let usage = usage.usage.expect("the usage");
        assert_eq!(
            (usage.prompt_tokens, usage.completion_tokens),
            (Some(12025), Some(32))
        );
        assert_eq!(
            usage.prompt_tokens_details.and_then(|d| d.cached_tokens),
            Some(11776)
        );
    }

    #[test]
    fn ends_and_errors() {
        assert_eq!(read(plain(b"[DONE]"), false), Event::Done);
        assert_eq!(
            read(
                plain(br#"{"error":{"message":"EngineCore died","type":"x","code":500}}"#),
                false
            ),
            Event::Error("EngineCore died".into())
        );
        let out_of_memory = Event::Error("out of memory".into());
        assert_eq!(
            read(plain(br#"{"error":"out of memory"}"#), false),
            out_of_memory
        );
        assert!(matches!(
            read(plain(b"{\"choices\":[{"), false),
            Event::Invalid(_)
        ));
        assert!(matches!(
            read(plain(b"{\"choices\":[{\"text\":\"\xff\"}]}"), false),
            Event::Invalid(_)
        ));
    }

    #[test]
    fn done_may_have_blanks_around_it() {
        assert_eq!(read(plain(b" [DONE] "), false), Event::Done);
    }

    #[test]
    fn events_that_the_api_does_not_have_are_passed_over_unless_they_are_errors() {
        for unknown in [
            "{}",
            r#"{"type":"ping"}"#,
            r#"{"object":"other","message":"hi"}"#,
        ] {
            assert_eq!(
                read(plain(unknown.as_bytes()), false),
                Event::Unknown(unknown.into())
            );
        }
        let error = Event::Error("out of memory".into());
        for data in [
            r#"{"object":"error","message":"out of memory"}"#,
            r#"{"code":500,"message":"out of memory"}"#,
        ] {
            assert_eq!(read(plain(data.as_bytes()), false), error, "{data}");
        }
        for data in [
            "out of memory",
            r#"{"message":"out of memory"}"#,
            r#"{"error":"out of memory"}"#,
        ] {
            assert_eq!(
                read(
                    Frame {
                        name: b"error",
                        data: data.as_bytes()
                    },
                    false
                ),
                error,
                "{data}"
            );
        }
    }

    #[test]
    fn content_may_be_a_list_and_a_call_of_the_old_form() {
        let parts = parsed(
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}"#,
        );
        assert_eq!(
            (parts.output, parts.answer, parts.text.as_deref()),
            (true, true, Some("ab"))
        );
        let thought =
            parsed(r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[]}]}}]}"#);
        assert_eq!((thought.output, thought.answer), (true, false));
        let empty = parsed(r#"{"choices":[{"delta":{"content":[]}}]}"#);
        assert_eq!((empty.choice, empty.output), (true, false));
        let call = parsed(r#"{"choices":[{"delta":{"function_call":{"arguments":"{"}}}]}"#);
        assert_eq!((call.output, call.answer), (true, false));
    }

    #[test]
    fn counts_may_be_written_as_floats() {
        let count = |n: &str| {
            parsed(&format!(
                r#"{{"choices":[],"usage":{{"completion_tokens":{n}}}}}"#
            ))
        };
        let tokens = |n: &str| count(n).usage.expect("the usage").completion_tokens;
        assert_eq!(
            (tokens("5.0"), tokens("5"), tokens("5e2"), tokens("null")),
            (Some(5), Some(5), Some(500), None)
        );
        for n in ["5.5", "-1", "1e300"] {
            let data = format!(r#"{{"choices":[],"usage":{{"completion_tokens":{n}}}}}"#);
            let Event::Invalid(text) = read(plain(data.as_bytes()), false) else {
                panic!("{n}")
            };
            assert!(
                text.starts_with("expected a whole number, found "),
                "{text}"
            );
        }
    }

    #[test]
    fn no_request_has_so_many_tokens() {
        let usage = |field: &str, n: &str| format!(r#"{{"choices":[],"usage":{{"{field}":{n}}}}}"#);
        let timings = |n: &str| format!(r#"{{"choices":[],"timings":{{"predicted_n":{n}}}}}"#);
        let cached = |n: &str| {
            format!(
                r#"{{"choices":[],"usage":{{"prompt_tokens_details":{{"cached_tokens":{n}}}}}}}"#
            )
        };
        for n in ["1000000001", "10000000000", "18446744073709551615", "4e12"] {
            for event in [
                usage("completion_tokens", n),
                usage("prompt_tokens", n),
                timings(n),
                cached(n),
            ] {
                let Event::Invalid(message) = read(plain(event.as_bytes()), false) else {
                    panic!("{event}")
                };
                assert!(
                    message.contains("expected at most 1000000000 tokens, found"),
                    "{message}"
                );
            }
        }
        assert!(matches!(
            read(plain(timings("1000000000").as_bytes()), false),
            Event::Delta(_)
        ));
    }

    #[test]
    fn the_quick_look_never_takes_a_closing_event_for_content() {
        let quick = |data: &str| is_plain_content(data.as_bytes());
        assert!(quick(
            r#"{"choices":[{"delta":{"content":" a"},"finish_reason":null}]}"#
        ));
        assert!(!quick(
            r#"{"choices":[{"delta":{"content":""},"finish_reason":null}]}"#
        ));
        assert!(!quick(
            r#"{"choices":[{"delta":{"content":" a"},"finish_reason":"stop"}]}"#
        ));
        assert!(!quick(
            r#"{"choices":[{"delta":{"content":" a"},"finish_reason":null}],"usage":{"completion_tokens":3}}"#
        ));
        assert!(!quick(
            r#"{"error":{"message":"\"content\":\"x\" \"finish_reason\":null"}}"#
        ));
        assert!(!quick(
            r#"{"choices":[{"delta":{"reasoning":"\"content\":\"x"},"finish_reason":null}]}"#
        ));
    }

    #[test]
    fn a_shape_never_takes_more_for_content_than_the_quick_look() {
        let event = |content: &str| {
            format!(
                r#"{{"id":"c","choices":[{{"delta":{{"content":"{content}"}},"finish_reason":null}}]}}"#
            )
        };
        let mut shape = Shape::default();
        for content in [" a", " b", r#"\"x\""#, " c", r"\\", " longer"] {
            assert!(
                shape.is_plain_content(event(content).as_bytes()),
                "{content}"
            );
        }
        assert!(!shape.is_plain_content(event("").as_bytes()));
        let closing = event(" a").replace("null", "\"stop\"");
        assert!(!shape.is_plain_content(closing.as_bytes()));
        // What would fit the frame, were the quote in it not a quote.
        let usage = event(r#""}},"usage":{"a":1},"x":{"y":{"z":" "#);
        assert_eq!(
            shape.is_plain_content(usage.as_bytes()),
            is_plain_content(usage.as_bytes())
        );
    }

    #[test]
    fn an_excerpt_is_one_line_without_control_characters() {
        assert_eq!(
            excerpt(b"<html>\r\n\t<b>\x1b[31mb\r\n"),
            "<html> <b>\u{fffd}[31mb"
        );
        assert_eq!(
            excerpt("a\u{202e}b".as_bytes()),
            "a\u{fffd}b",
            "what turns the direction of writing"
        );
    }

    /// A secret crosses the end of the excerpt: half of it would not be recognized.
    #[test]
    fn an_excerpt_loses_its_secrets_before_it_is_cut() {
        let key = "sk-excerpt-0123456789abcdefghijklmnopqrstuvwxyz";
        secrets::learn([("OF_AN_EXCERPT_KEY", key)]);
        for before in 150..200 {
            let shown = excerpt(format!("{}{key} and more", "x".repeat(before)).as_bytes());
            assert!(!shown.contains("sk-"), "{shown}");
        }
    }

    /// An event with all that the quick look looks for, in every combination.
    fn event() -> impl Strategy<Value = String> {
        let text = prop_oneof![
            any::<String>(),
            "[a\"\\\\:,{}]{0,6}",
            Just("\"finish_reason\":null".to_owned())
        ];
        let content = prop::option::of(text.clone());
        let finish = prop_oneof![Just(None), text.clone().prop_map(Some)];
        (content, text, finish, any::<[bool; 4]>()).prop_map(
            |(content, other, finish, [chat, usage, null, error])| {
                let mut event = json!({ "choices": [{ "finish_reason": finish }] });
                let place = &mut event["choices"][0];
                if chat {
                    place["delta"] = json!({ "content": content, "reasoning": other });
                } else {
                    place["text"] = json!(content);
                }
                if usage {
                    event["usage"] = if null {
                        json!(null)
                    } else {
                        json!({ "completion_tokens": 3 })
                    };
                }
                if error {
                    event["error"] = json!(other);
                }
                event.to_string()
            },
        )
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(
            pieces in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..20),
                prop::sample::select(NEEDLES.to_vec()).prop_map(|needle| needle.as_bytes().to_vec()),
            ], 0..12)
        ) {
            let data = pieces.concat();
            is_plain_content(&data);
            let mut shape = Shape::default();
            shape.is_plain_content(&data);
            shape.is_plain_content(&data);
            if let Event::Invalid(text) = read(plain(&data), true) {
                prop_assert!(text.chars().all(|c| !c.is_control()), "{text:?}");
            }
        }

        #[test]
        fn the_quick_look_says_what_the_whole_event_says(events in prop::collection::vec(event(), 1..5)) {
            let mut shape = Shape::default();
            for event in &events {
                let quick = is_plain_content(event.as_bytes());
                prop_assert_eq!(shape.is_plain_content(event.as_bytes()), quick, "{}", event);
                if quick {
                    let Event::Delta(delta) = read(plain(event.as_bytes()), false) else { panic!("{event}") };
                    prop_assert!(delta.answer && delta.finish_reason.is_none() && delta.usage.is_none(), "{}", event);
                }
            }
        }
    }

    const NEEDLES: [&str; 10] = [
        "{\"choices\":[{\"delta\":{\"content\":\"",
        "\"}",
        "\",\"finish_reason\":null}]}",
        "\"text\":\"",
        "\"usage\":{",
        "\"error\":{\"message\":\"",
        "[DONE]",
        "\\",
        "null",
        "\u{1b}[31m",
    ];
}
