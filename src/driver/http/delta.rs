//! What one event of an OpenAI completion stream says.

use super::tokens::Count;
use crate::driver::text::is_harmless;
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// Token counts as the server reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the prompt, chat template included.
    pub prompt_tokens: Option<u64>,
    /// Tokens generated.
    pub completion_tokens: Option<u64>,
    /// What is known of the prompt.
    pub prompt_tokens_details: Option<PromptDetails>,
}

/// The part of [`Usage`] that tells a cached prompt from a computed one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PromptDetails {
    /// Prompt tokens that some cache held.
    pub cached_tokens: Option<u64>,
}

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
}

/// llama.cpp's.
#[derive(Deserialize)]
struct Timings {
    predicted_n: Option<u64>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<Content<'a>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    token_ids: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
struct Content<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(default)]
    tool_calls: Option<Vec<IgnoredAny>>,
}

/// Reads an event whole.
pub fn read(data: &[u8], keep_text: bool) -> Event {
    if data == b"[DONE]" {
        return Event::Done;
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return Event::Invalid(format!("not UTF-8: `{}`", excerpt(data)));
    };
    match serde_json::from_str::<Wire<'_>>(text) {
        Err(e) => Event::Invalid(format!("{e} in `{}`", excerpt(data))),
        Ok(Wire { error: Some(error), .. }) => Event::Error(error_text(&error)),
        // Neither choices nor usage: what is it?
        Ok(Wire { choices: None, usage: None, .. }) => {
            Event::Invalid(format!("neither `choices` nor `usage` in `{}`", excerpt(data)))
        }
        Ok(wire) => Event::Delta(delta(wire, keep_text)),
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
        let start = [&br#""content":""#[..], br#""text":""#].into_iter().find_map(|key| {
            let at = memmem::find(data, key)? + key.len();
            (data.get(at) != Some(&b'"')).then_some(at)
        });
        let Some(start) = start else { return };
        // Up to the first quote, be it escaped: then the next event takes the closer look as well.
        let Some(length) = memchr::memchr(b'"', &data[start..]) else { return };
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
    let so_far = usage.and_then(|usage| usage.completion_tokens).map(|n| Count::SoFar("usage", n));
    let timed = || wire.timings.as_ref()?.predicted_n.map(|n| Count::SoFar("timings", n));
    let count = so_far.or_else(timed);
    let Some(choice) = wire.choices.and_then(|choices| choices.into_iter().next()) else {
        return Delta { usage, count, ..Delta::default() };
    };
    let filled = |text: &Option<Cow<'_, str>>| text.as_ref().is_some_and(|text| !text.is_empty());
    let other = choice.delta.as_ref().is_some_and(|d| {
        filled(&d.reasoning)
            || filled(&d.reasoning_content)
            || filled(&d.refusal)
            || d.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
    });
    let here = choice.token_ids.map(|ids| Count::Here("token_ids", ids.len() as u64));
    let content = choice.delta.and_then(|delta| delta.content).or(choice.text);
    let answer = filled(&content);
    Delta {
        choice: true,
        output: answer || other,
        answer,
        text: content.filter(|_| keep_text).map(Cow::into_owned),
        finish_reason: choice.finish_reason.map(Cow::into_owned),
        usage,
        count: count.or(here),
    }
}

/// The message of an error body, else the body.
pub fn error_text(error: &serde_json::Value) -> String {
    let nested = error.get("error").unwrap_or(error);
    let message = nested.get("message").unwrap_or(nested);
    message.as_str().map_or_else(|| message.to_string(), str::to_owned)
}

/// The start of what a server sent, safe to print.
pub fn excerpt(data: &[u8]) -> String {
    const SHOWN: usize = 200;
    let text = String::from_utf8_lossy(&data[..data.len().min(SHOWN)]);
    let dots = if data.len() > SHOWN { "…" } else { "" };
    text.chars().map(|c| if is_harmless(c) && c != '\t' { c } else { '\u{fffd}' }).collect::<String>() + dots
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parsed(data: &str) -> Delta {
        match read(data.as_bytes(), true) {
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
        assert_eq!((role.choice, role.output, role.answer), (true, false, false));
        let null = parsed(
            r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}]}"#,
        );
        assert_eq!((null.choice, null.output), (true, false));
        let content =
            parsed(r#"{"choices":[{"index":0,"delta":{"content":" The \"one\""},"finish_reason":null}]}"#);
        assert_eq!((content.output, content.answer), (true, true));
        assert_eq!(content.text.as_deref(), Some(" The \"one\""));
        let reasoning = parsed(r#"{"choices":[{"delta":{"reasoning_content":"Hm"},"finish_reason":null}]}"#);
        assert_eq!((reasoning.output, reasoning.answer), (true, false));
        let tool = parsed(r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}}]}}]}"#);
        assert_eq!((tool.output, tool.answer), (true, false));
        let completion = parsed(
            r#"{"object":"text_completion","choices":[{"index":0,"text":" a","finish_reason":"length"}]}"#,
        );
        assert_eq!((completion.answer, completion.finish_reason.as_deref()), (true, Some("length")));
        let usage = parsed(
            r#"{"choices":[],"usage":{"prompt_tokens":12025,"total_tokens":12057,"completion_tokens":32,"prompt_tokens_details":{"cached_tokens":11776}}}"#,
        );
        assert!(!usage.choice);
        let usage = usage.usage.expect("the usage");
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(12025), Some(32)));
        assert_eq!(usage.prompt_tokens_details.and_then(|d| d.cached_tokens), Some(11776));
    }

    #[test]
    fn ends_and_errors() {
        assert_eq!(read(b"[DONE]", false), Event::Done);
        assert_eq!(
            read(br#"{"error":{"message":"EngineCore died","type":"x","code":500}}"#, false),
            Event::Error("EngineCore died".into())
        );
        assert_eq!(read(br#"{"error":"out of memory"}"#, false), Event::Error("out of memory".into()));
        assert!(matches!(read(b"{\"choices\":[{", false), Event::Invalid(_)));
        assert!(matches!(read(b"{}", false), Event::Invalid(_)));
        assert!(matches!(read(b"{\"choices\":[{\"text\":\"\xff\"}]}", false), Event::Invalid(_)));
    }

    #[test]
    fn the_quick_look_never_takes_a_closing_event_for_content() {
        let quick = |data: &str| is_plain_content(data.as_bytes());
        assert!(quick(r#"{"choices":[{"delta":{"content":" a"},"finish_reason":null}]}"#));
        assert!(!quick(r#"{"choices":[{"delta":{"content":""},"finish_reason":null}]}"#));
        assert!(!quick(r#"{"choices":[{"delta":{"content":" a"},"finish_reason":"stop"}]}"#));
        assert!(!quick(
            r#"{"choices":[{"delta":{"content":" a"},"finish_reason":null}],"usage":{"completion_tokens":3}}"#
        ));
        assert!(!quick(r#"{"error":{"message":"\"content\":\"x\" \"finish_reason\":null"}}"#));
        assert!(!quick(r#"{"choices":[{"delta":{"reasoning":"\"content\":\"x"},"finish_reason":null}]}"#));
    }

    #[test]
    fn a_shape_never_takes_more_for_content_than_the_quick_look() {
        let event = |content: &str| {
            format!(r#"{{"id":"c","choices":[{{"delta":{{"content":"{content}"}},"finish_reason":null}}]}}"#)
        };
        let mut shape = Shape::default();
        for content in [" a", " b", r#"\"x\""#, " c", r"\\", " longer"] {
            assert!(shape.is_plain_content(event(content).as_bytes()), "{content}");
        }
        assert!(!shape.is_plain_content(event("").as_bytes()));
        let closing = event(" a").replace("null", "\"stop\"");
        assert!(!shape.is_plain_content(closing.as_bytes()));
        // What would fit the frame, were the quote in it not a quote.
        let usage = event(r#""}},"usage":{"a":1},"x":{"y":{"z":" "#);
        assert_eq!(shape.is_plain_content(usage.as_bytes()), is_plain_content(usage.as_bytes()));
    }

    #[test]
    fn an_excerpt_has_no_control_characters() {
        assert_eq!(excerpt(b"a\x1b[31mb\r\n"), "a\u{fffd}[31mb\u{fffd}\u{fffd}");
        assert_eq!(excerpt("a\u{202e}b".as_bytes()), "a\u{fffd}b", "what turns the direction of writing");
    }

    /// An event with all that the quick look looks for, in every combination.
    fn event() -> impl Strategy<Value = String> {
        let text =
            prop_oneof![any::<String>(), "[a\"\\\\:,{}]{0,6}", Just("\"finish_reason\":null".to_owned())];
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
                    event["usage"] = if null { json!(null) } else { json!({ "completion_tokens": 3 }) };
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
            if let Event::Invalid(text) = read(&data, true) {
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
                    let Event::Delta(delta) = read(event.as_bytes(), false) else { panic!("{event}") };
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
