//! Parses the events of OpenAI completion streams.

use super::reader::TextPolicy;
use super::sse::SseFrame;
use super::tokens::TokenCount;
use crate::driver::secrets;
use crate::driver::text::is_printable;
use memchr::{memchr, memmem};
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// The token counts that the server reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// The tokens of the prompt, including the chat template.
    #[serde(deserialize_with = "token_count")]
    pub prompt_tokens: Option<u64>,
    /// The generated tokens.
    #[serde(deserialize_with = "token_count")]
    pub completion_tokens: Option<u64>,
    /// Details of the prompt's tokens.
    pub prompt_tokens_details: Option<PromptDetails>,
}

/// The part of [`Usage`] about the prompt's cached tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PromptDetails {
    /// The prompt's tokens that came from a cache.
    #[serde(deserialize_with = "token_count")]
    pub cached_tokens: Option<u64>,
}

/// The maximum plausible number of tokens. A larger count is a defect of the server.
const MAX_TOKENS: u64 = 1_000_000_000;

/// Parses a number of tokens. Some servers write `5.0`.
fn token_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let Some(tokens) = number.as_u64().or_else(|| whole(&number)) else {
        return Err(D::Error::custom(format!(
            "expected a whole number, found {number}"
        )));
    };
    if tokens > MAX_TOKENS {
        return Err(D::Error::custom(format!(
            "expected at most {MAX_TOKENS} tokens, found {number}"
        )));
    }
    Ok(Some(tokens))
}

/// Returns a float that is a whole number.
fn whole(number: &serde_json::Number) -> Option<u64> {
    /// Up to here an f64 is exact.
    const MAX_EXACT: f64 = 9e15;
    let number = number.as_f64()?;
    ((0.0..MAX_EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

/// The content of one event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// True if it has a choice, even if only with the role: vLLM's own clients stop the clock
    /// there.
    pub has_choice: bool,
    /// True if it has non-empty output: content, reasoning, a tool call or a refusal.
    pub has_output: bool,
    /// True if it has non-empty content.
    pub has_content: bool,
    /// The content, if it is kept.
    pub text: Option<String>,
    /// The reason for the end of the generation.
    pub finish_reason: Option<String>,
    /// The token counts.
    pub usage: Option<Usage>,
    /// The number of tokens that it reports.
    pub count: Option<TokenCount>,
}

/// A parsed event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StreamEvent {
    /// `[DONE]`: the stream is complete.
    Done,
    /// A part of the answer.
    Delta(Delta),
    /// An error, independent of the HTTP status.
    Error(String),
    /// An excerpt of an event that is not part of the API, such as a ping.
    Unknown(String),
    /// The reason why it is not valid.
    Invalid(String),
}

#[derive(Deserialize)]
struct EventJson<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<StreamChoice<'a>>>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    timings: Option<LlamaTimings>,
    #[serde(default)]
    error: Option<serde_json::Value>,
    #[serde(default)]
    object: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<serde_json::Value>,
    #[serde(default)]
    code: Option<IgnoredAny>,
}

/// The `timings` of llama.cpp.
#[derive(Deserialize)]
struct LlamaTimings {
    #[serde(default, deserialize_with = "token_count")]
    predicted_n: Option<u64>,
}

#[derive(Deserialize)]
struct StreamChoice<'a> {
    #[serde(borrow, default)]
    delta: Option<DeltaMessage<'a>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    token_ids: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct DeltaMessage<'a> {
    #[serde(borrow, default)]
    content: Option<DeltaContent<'a>>,
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

impl DeltaMessage<'_> {
    /// Returns true if it has non-empty output other than content.
    fn has_other_output(&self) -> bool {
        is_filled(self.reasoning.as_deref())
            || is_filled(self.reasoning_content.as_deref())
            || is_filled(self.refusal.as_deref())
            || self
                .tool_calls
                .as_ref()
                .is_some_and(|calls| !calls.is_empty())
            || self.function_call.is_some()
            || self.audio.is_some()
    }
}

fn is_filled(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

/// The content of a message: a text, or a list of parts, as in Mistral's API.
#[derive(Deserialize)]
#[serde(untagged)]
enum DeltaContent<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Parts(#[serde(borrow)] Vec<DeltaPart<'a>>),
}

/// A part of a content: a text, or other output, such as reasoning.
#[derive(Deserialize)]
struct DeltaPart<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

impl<'a> DeltaContent<'a> {
    /// Returns true if it has output that is not text.
    fn has_other_output(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Parts(parts) => parts.iter().any(|part| part.text.is_none()),
        }
    }

    fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts
                .into_iter()
                .filter_map(|part| part.text)
                .collect::<String>()
                .into(),
        }
    }
}

/// Parses a whole event.
pub(super) fn read(frame: SseFrame<'_>, text_policy: TextPolicy) -> StreamEvent {
    let data = frame.data.trim_ascii();
    if data == b"[DONE]" {
        return StreamEvent::Done;
    }
    if frame.name == b"error" {
        return StreamEvent::Error(error_message(data));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return StreamEvent::Invalid(format!("not UTF-8: `{}`", excerpt(data)));
    };
    match serde_json::from_str::<EventJson<'_>>(text) {
        Err(e) => StreamEvent::Invalid(format!("{e} in `{}`", excerpt(data))),
        Ok(EventJson {
            error: Some(error), ..
        }) => StreamEvent::Error(message_of(&error)),
        Ok(event) if event.choices.is_none() && event.usage.is_none() => other_event(&event, data),
        Ok(event) => StreamEvent::Delta(delta(event, text_policy)),
    }
}

/// Returns the event for data with neither `choices` nor `usage`: an error under another name, or
/// an event that other clients skip as well.
fn other_event(event: &EventJson<'_>, data: &[u8]) -> StreamEvent {
    let is_error = event
        .object
        .as_ref()
        .is_some_and(|object| object == "error")
        || event.code.is_some();
    match &event.message {
        Some(message) if is_error => StreamEvent::Error(message_of(message)),
        _ => StreamEvent::Unknown(excerpt(data)),
    }
}

/// Returns true if an event surely is one more piece of content and nothing else, without parsing
/// it.
///
/// Quotes in a JSON string are escaped, so the generated text cannot contain the searched fields.
fn is_plain_content(data: &[u8]) -> bool {
    contains(data, br#""finish_reason":null"#)
        && !contains(data, br#""usage":{"#)
        && !contains(data, br#""error""#)
        && !contains(data, br#""token_ids":["#)
        && !contains(data, br#""timings":{"#)
        && (after(data, br#""content":""#).is_some_and(|next| next != b'"')
            || after(data, br#""text":""#).is_some_and(|next| next != b'"'))
        && std::str::from_utf8(data).is_ok()
}

fn contains(data: &[u8], needle: &[u8]) -> bool {
    memmem::find(data, needle).is_some()
}

/// Returns the byte after `needle`.
fn after(data: &[u8], needle: &[u8]) -> Option<u8> {
    memmem::find(data, needle).and_then(|at| data.get(at + needle.len()).copied())
}

/// The bytes before and after the content in the plain events of one stream. Servers repeat them in
/// every event.
#[derive(Debug, Default)]
pub(super) struct EventTemplate {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl EventTemplate {
    /// Returns true if an event surely is one more piece of content and nothing else. Compares it
    /// with the event before if that is enough.
    pub(super) fn is_plain_content(&mut self, data: &[u8]) -> bool {
        if self.matches(data) {
            return true;
        }
        let is_plain = is_plain_content(data);
        if is_plain {
            self.update(data);
        }
        is_plain
    }

    /// Returns true if `data` differs from the event before only in its content, which is not
    /// empty. Returns false for content with a quote or a backslash at its end, which must be
    /// parsed.
    fn matches(&self, data: &[u8]) -> bool {
        let template = self.before.len() + self.after.len();
        if self.before.is_empty() || data.len() <= template {
            return false;
        }
        let (before, rest) = data.split_at(self.before.len());
        let (content, after) = rest.split_at(rest.len() - self.after.len());
        before == self.before
            && after == self.after
            && content.last() != Some(&b'\\')
            && memchr(b'"', content).is_none()
            && std::str::from_utf8(content).is_ok()
    }

    fn update(&mut self, data: &[u8]) {
        let start = [&br#""content":""#[..], br#""text":""#]
            .into_iter()
            .find_map(|key| {
                let at = memmem::find(data, key)? + key.len();
                (data.get(at) != Some(&b'"')).then_some(at)
            });
        let Some(start) = start else { return };
        // Up to the first quote. If it is an escaped one, the next event does not match.
        let Some(length) = memchr(b'"', &data[start..]) else {
            return;
        };
        self.before.clear();
        self.before.extend_from_slice(&data[..start]);
        self.after.clear();
        self.after.extend_from_slice(&data[start + length..]);
    }
}

fn delta(event: EventJson<'_>, text_policy: TextPolicy) -> Delta {
    let usage = event.usage;
    let generated = usage.and_then(|usage| usage.completion_tokens);
    let predicted = event.timings.and_then(|timings| timings.predicted_n);
    let so_far = generated
        .map(|tokens| TokenCount::SoFar("usage", tokens))
        .or_else(|| predicted.map(|tokens| TokenCount::SoFar("timings", tokens)));
    let Some(choice) = event.choices.and_then(|choices| choices.into_iter().next()) else {
        return Delta {
            usage,
            count: so_far,
            ..Delta::default()
        };
    };
    let in_event = choice
        .token_ids
        .map(|ids| TokenCount::InEvent("token_ids", ids.len() as u64));
    let mut has_other_output = choice
        .delta
        .as_ref()
        .is_some_and(DeltaMessage::has_other_output);
    let content = match choice.delta.and_then(|delta| delta.content) {
        Some(content) => {
            has_other_output |= content.has_other_output();
            Some(content.into_text())
        }
        None => choice.text,
    };
    let has_content = is_filled(content.as_deref());
    let text = match text_policy {
        TextPolicy::Keep => content.map(Cow::into_owned),
        TextPolicy::Discard => None,
    };
    Delta {
        has_choice: true,
        has_output: has_content || has_other_output,
        has_content,
        text,
        finish_reason: choice.finish_reason.map(Cow::into_owned),
        usage,
        count: so_far.or(in_event),
    }
}

/// Returns the message in an error's JSON (`message`, or `FastAPI`'s `detail`), or else the JSON.
fn message_of(error: &serde_json::Value) -> String {
    let nested = error.get("error").unwrap_or(error);
    let message = nested
        .get("message")
        .or_else(|| nested.get("detail"))
        .unwrap_or(nested);
    match message.as_str() {
        Some(message) => message.to_owned(),
        None => message.to_string(),
    }
}

/// Returns the message in an error body of a server, printable.
pub(super) fn error_message(body: &[u8]) -> String {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(json) if json.get("choices").is_some() => {
            format!(
                "one whole answer, as if `stream` were false: `{}`",
                excerpt(body)
            )
        }
        Ok(json) => excerpt(message_of(&json).as_bytes()),
        Err(_) => excerpt(body),
    }
}

/// Returns the start of a server's text, printable: on one line, without secrets.
pub(super) fn excerpt(data: &[u8]) -> String {
    const MAX_SHOWN: usize = 200;
    const MAX_SCRUBBED: usize = 64 * 1024;
    // Before the cut: a part of a secret would not be recognized.
    let text = secrets::scrub(&String::from_utf8_lossy(
        &data[..data.len().min(MAX_SCRUBBED)],
    ));
    let shown = &text[..text.floor_char_boundary(MAX_SHOWN)];
    let words: Vec<&str> = shown.split_whitespace().collect();
    let mut excerpt: String = words
        .join(" ")
        .chars()
        .map(|c| if is_printable(c) { c } else { '\u{fffd}' })
        .collect();
    if shown.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::super::reader::TextPolicy::{Discard, Keep};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn plain(data: &[u8]) -> SseFrame<'_> {
        SseFrame { name: b"", data }
    }

    fn parsed(data: &str) -> Delta {
        match read(plain(data.as_bytes()), Keep) {
            StreamEvent::Delta(delta) => delta,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the delta of an event with one choice.
    fn choice(choice: &str) -> Delta {
        parsed(&format!(r#"{{"id":"c","choices":[{choice}]}}"#))
    }

    /// Returns the delta of an event with one chat choice.
    fn chat(delta: &str) -> Delta {
        choice(&format!(
            r#"{{"index":0,"delta":{delta},"finish_reason":null}}"#
        ))
    }

    /// Reads events of vLLM 0.24, llama.cpp, and reasoning or tool-calling models.
    #[test]
    fn read_understands_events_of_real_engines() {
        for role in [
            r#"{"role":"assistant","content":""}"#,
            r#"{"role":"assistant","content":null}"#,
        ] {
            let role = chat(role);
            assert!(role.has_choice && !role.has_output && !role.has_content);
        }
        let content = chat(r#"{"content":" The \"one\""}"#);
        assert!(content.has_output && content.has_content);
        assert_eq!(content.text.as_deref(), Some(" The \"one\""));
        for other in [
            r#"{"reasoning_content":"Hm"}"#,
            r#"{"tool_calls":[{"index":0,"function":{"name":"f"}}]}"#,
            r#"{"function_call":{"arguments":"{"}}"#,
        ] {
            let other = chat(other);
            assert!(other.has_output && !other.has_content);
        }
        let completion = choice(r#"{"index":0,"text":" a","finish_reason":"length"}"#);
        assert!(completion.has_content);
        assert_eq!(completion.finish_reason.as_deref(), Some("length"));
    }

    #[test]
    fn read_understands_the_usage() {
        let event = parsed(
            r#"{"choices":[],"usage":{"prompt_tokens":12025,"total_tokens":12057,
                "completion_tokens":32,"prompt_tokens_details":{"cached_tokens":11776}}}"#,
        );
        assert!(!event.has_choice);
        let usage = event.usage.expect("the usage");
        assert_eq!(usage.prompt_tokens, Some(12025));
        assert_eq!(usage.completion_tokens, Some(32));
        let details = usage.prompt_tokens_details.expect("details");
        assert_eq!(details.cached_tokens, Some(11776));
    }

    #[test]
    fn read_understands_ends_and_errors() {
        assert_eq!(read(plain(b"[DONE]"), Discard), StreamEvent::Done);
        assert_eq!(
            read(
                plain(br#"{"error":{"message":"EngineCore died","type":"x","code":500}}"#),
                Discard
            ),
            StreamEvent::Error("EngineCore died".into())
        );
        let out_of_memory = StreamEvent::Error("out of memory".into());
        assert_eq!(
            read(plain(br#"{"error":"out of memory"}"#), Discard),
            out_of_memory
        );
        assert!(matches!(
            read(plain(b"{\"choices\":[{"), Discard),
            StreamEvent::Invalid(_)
        ));
        assert!(matches!(
            read(plain(b"{\"choices\":[{\"text\":\"\xff\"}]}"), Discard),
            StreamEvent::Invalid(_)
        ));
    }

    #[test]
    fn done_may_have_spaces_around_it() {
        assert_eq!(read(plain(b" [DONE] "), Discard), StreamEvent::Done);
    }

    #[test]
    fn events_of_other_apis_are_unknown_unless_they_are_errors() {
        for unknown in [
            "{}",
            r#"{"type":"ping"}"#,
            r#"{"object":"other","message":"hi"}"#,
        ] {
            assert_eq!(
                read(plain(unknown.as_bytes()), Discard),
                StreamEvent::Unknown(unknown.into())
            );
        }
        let error = StreamEvent::Error("out of memory".into());
        for data in [
            r#"{"object":"error","message":"out of memory"}"#,
            r#"{"code":500,"message":"out of memory"}"#,
        ] {
            assert_eq!(read(plain(data.as_bytes()), Discard), error, "{data}");
        }
        for data in [
            "out of memory",
            r#"{"message":"out of memory"}"#,
            r#"{"error":"out of memory"}"#,
        ] {
            assert_eq!(
                read(
                    SseFrame {
                        name: b"error",
                        data: data.as_bytes()
                    },
                    Discard
                ),
                error,
                "{data}"
            );
        }
    }

    #[test]
    fn content_may_be_a_list_of_parts() {
        let parts = chat(r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#);
        assert!(parts.has_output && parts.has_content);
        assert_eq!(parts.text.as_deref(), Some("ab"));
        let thought = chat(r#"{"content":[{"type":"thinking","thinking":[]}]}"#);
        assert!(thought.has_output && !thought.has_content);
        let empty = chat(r#"{"content":[]}"#);
        assert!(empty.has_choice && !empty.has_output);
    }

    fn with_usage(usage: &str) -> StreamEvent {
        let event = format!(r#"{{"choices":[],"usage":{{{usage}}}}}"#);
        read(plain(event.as_bytes()), Discard)
    }

    #[test]
    fn token_counts_may_be_floats() {
        for (count, expected) in [
            ("5.0", Some(5)),
            ("5", Some(5)),
            ("5e2", Some(500)),
            ("null", None),
        ] {
            let StreamEvent::Delta(delta) = with_usage(&format!(r#""prompt_tokens":{count}"#))
            else {
                panic!("{count}")
            };
            assert_eq!(delta.usage.expect("the usage").prompt_tokens, expected);
        }
        for count in ["5.5", "-1", "1e300"] {
            let StreamEvent::Invalid(message) = with_usage(&format!(r#""prompt_tokens":{count}"#))
            else {
                panic!("{count}")
            };
            assert!(
                message.starts_with("expected a whole number, found "),
                "{message}"
            );
        }
    }

    #[test]
    fn implausible_token_counts_are_invalid() {
        for count in ["1000000001", "10000000000", "18446744073709551615", "4e12"] {
            for event in [
                format!(r#"{{"choices":[],"usage":{{"completion_tokens":{count}}}}}"#),
                format!(r#"{{"choices":[],"usage":{{"prompt_tokens":{count}}}}}"#),
                format!(r#"{{"choices":[],"timings":{{"predicted_n":{count}}}}}"#),
                format!(r#"{{"usage":{{"prompt_tokens_details":{{"cached_tokens":{count}}}}}}}"#),
            ] {
                let StreamEvent::Invalid(message) = read(plain(event.as_bytes()), Discard) else {
                    panic!("{event}")
                };
                assert!(
                    message.contains("expected at most 1000000000 tokens, found"),
                    "{message}"
                );
            }
        }
        let most = br#"{"choices":[],"timings":{"predicted_n":1000000000}}"#;
        assert!(matches!(read(plain(most), Discard), StreamEvent::Delta(_)));
    }

    #[test]
    fn is_plain_content_rejects_all_other_events() {
        let content = br#"{"choices":[{"delta":{"content":" a"},"finish_reason":null}]}"#;
        assert!(is_plain_content(content));
        for other in [
            r#"{"choices":[{"delta":{"content":""},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":" a"},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"delta":{"content":" a"},"finish_reason":null}],"usage":{"a":3}}"#,
            r#"{"error":{"message":"\"content\":\"x\" \"finish_reason\":null"}}"#,
            r#"{"choices":[{"delta":{"reasoning":"\"content\":\"x"},"finish_reason":null}]}"#,
        ] {
            assert!(!is_plain_content(other.as_bytes()), "{other}");
        }
    }

    /// Returns a plain event with this content, escaped as JSON.
    fn plain_event(content: &str) -> Vec<u8> {
        let choice = format!(r#"{{"delta":{{"content":"{content}"}},"finish_reason":null}}"#);
        format!(r#"{{"id":"c","choices":[{choice}]}}"#).into_bytes()
    }

    #[test]
    fn a_template_accepts_no_more_than_is_plain_content() {
        let mut template = EventTemplate::default();
        for content in [" a", " b", r#"\"x\""#, " c", r"\\", " longer"] {
            assert!(
                template.is_plain_content(&plain_event(content)),
                "{content}"
            );
        }
        assert!(!template.is_plain_content(&plain_event("")));
        let last = br#"{"id":"c","choices":[{"delta":{"content":" a"},"finish_reason":"stop"}]}"#;
        assert!(!template.is_plain_content(last));
        // It matches the template except for the quotes in it.
        let usage = plain_event(r#""}},"usage":{"a":1},"x":{"y":{"z":" "#);
        assert_eq!(template.is_plain_content(&usage), is_plain_content(&usage));
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
            "a character that changes the direction of writing"
        );
    }

    #[test]
    fn an_excerpt_is_scrubbed_before_it_is_cut() {
        let key = "sk-excerpt-0123456789abcdefghijklmnopqrstuvwxyz";
        secrets::register([("OF_AN_EXCERPT_KEY", key)]);
        for before in 150..200 {
            let shown = excerpt(format!("{}{key} and more", "x".repeat(before)).as_bytes());
            assert!(!shown.contains("sk-"), "{shown}");
        }
    }

    /// Generates events with every combination of the fields that the quick check searches for.
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
        fn read_accepts_any_bytes(
            pieces in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..20),
                prop::sample::select(NEEDLES.map(|needle| needle.as_bytes().to_vec()).to_vec()),
            ], 0..12)
        ) {
            let data = pieces.concat();
            is_plain_content(&data);
            let mut template = EventTemplate::default();
            template.is_plain_content(&data);
            template.is_plain_content(&data);
            if let StreamEvent::Invalid(text) = read(plain(&data), Keep) {
                prop_assert!(text.chars().all(|c| !c.is_control()), "{text:?}");
            }
        }

        #[test]
        fn plain_events_are_parsed_as_content_and_nothing_else(
            events in prop::collection::vec(event(), 1..5),
        ) {
            let mut template = EventTemplate::default();
            for event in &events {
                let is_plain = is_plain_content(event.as_bytes());
                prop_assert_eq!(template.is_plain_content(event.as_bytes()), is_plain, "{}", event);
                if is_plain {
                    let StreamEvent::Delta(delta) = read(plain(event.as_bytes()), Discard) else {
                        panic!("{event}")
                    };
                    prop_assert!(delta.has_content, "{}", event);
                    prop_assert!(delta.finish_reason.is_none(), "{}", event);
                    prop_assert!(delta.usage.is_none(), "{}", event);
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
