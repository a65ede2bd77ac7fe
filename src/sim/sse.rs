//! The bytes of a streamed answer: events in vLLM's format, in the chunks of HTTP/1.1.
//!
//! The text that all events have in common is formatted once.

use super::fault::StreamFaults;
use super::text::FinishReason;
use serde_json::json;
use std::io::Write;

/// The API of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completion,
}

/// The chunks of a stream that contain the usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsageChunks {
    Never,
    /// A separate chunk at the end.
    Last,
    Every,
}

/// The framing of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The end of the connection, for HTTP/1.0.
    UntilClose,
}

/// Token counts of one request.
#[expect(clippy::struct_field_names, reason = "the names of the API")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenUsage {
    /// Tokens of the prompt.
    pub(crate) prompt_tokens: u32,
    /// Tokens written so far.
    pub(crate) completion_tokens: u32,
    /// Tokens of the prompt that were not computed.
    pub(crate) cached_tokens: u32,
}

/// The part of an answer in the usage of its prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PromptUsage {
    /// The first answer to a prompt, which includes the prompt's tokens.
    Included,
    /// A further answer to the same prompt.
    Omitted,
}

impl TokenUsage {
    /// Adds the usage of another answer to the same request.
    pub(crate) fn add(&mut self, other: Self, prompt_usage: PromptUsage) {
        self.completion_tokens += other.completion_tokens;
        if prompt_usage == PromptUsage::Included {
            self.prompt_tokens += other.prompt_tokens;
            self.cached_tokens += other.cached_tokens;
        }
    }

    /// The `usage` object of the API.
    pub(crate) fn json(self) -> serde_json::Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "completion_tokens": self.completion_tokens,
            "prompt_tokens_details": { "cached_tokens": self.cached_tokens },
        })
    }
}

/// A part of the text of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerPart<'a> {
    /// Index of the answer in its request.
    pub(crate) index: u32,
    /// Text of letters and spaces, which needs no escapes.
    pub(crate) text: &'a str,
    /// The reason why the answer ends; set in its last part.
    pub(crate) finish: Option<FinishReason>,
    /// Usage of this answer so far.
    pub(crate) usage: TokenUsage,
}

/// The format of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamFormat {
    pub(crate) api: Api,
    pub(crate) usage: UsageChunks,
    pub(crate) framing: Framing,
}

/// The fields that all events of an answer have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventHead<'a> {
    pub(crate) id: &'a str,
    pub(crate) model: &'a str,
    /// The time of the answer, in seconds since 1970.
    pub(crate) created_s: u64,
}

/// Formats the events of one stream.
#[derive(Debug)]
pub(crate) struct EventWriter {
    head: String,
    format: StreamFormat,
    faults: StreamFaults,
    event: Vec<u8>,
    chunks: u32,
}

impl EventWriter {
    pub(crate) fn new(head: EventHead<'_>, format: StreamFormat, faults: StreamFaults) -> Self {
        let object = match format.api {
            Api::Chat => "chat.completion.chunk",
            Api::Completion => "text_completion",
        };
        let head = format!(
            "data: {{\"id\":{},\"object\":\"{object}\",\"created\":{},\"model\":{},\"choices\":[",
            json!(head.id),
            head.created_s,
            json!(head.model)
        );
        Self {
            head,
            format,
            faults,
            event: Vec::with_capacity(512),
            chunks: 0,
        }
    }

    pub(crate) fn faults(&self) -> &StreamFaults {
        &self.faults
    }

    /// The number of chunks so far.
    pub(crate) fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Writes the events before the first token: in a chat, a role for each of the answers.
    pub(crate) fn open(&mut self, out: &mut Vec<u8>, answers: u32, usage: TokenUsage) {
        if self.format.api == Api::Completion {
            return;
        }
        let rest =
            r#""delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}"#;
        for index in 0..answers {
            self.start_choice(index);
            self.event.extend_from_slice(rest.as_bytes());
            self.end_choice(out, usage, None);
        }
    }

    /// Writes one part of one answer.
    pub(crate) fn part(&mut self, out: &mut Vec<u8>, part: AnswerPart<'_>) {
        let (before, after) = match self.format.api {
            Api::Chat => (
                r#""delta":{"content":""#,
                r#""},"logprobs":null,"finish_reason":"#,
            ),
            Api::Completion => (r#""text":""#, r#"","logprobs":null,"finish_reason":"#),
        };
        let end = match part.finish {
            None => r#"null,"token_ids":null}"#,
            Some(FinishReason::Stop) => r#""stop","stop_reason":null,"token_ids":null}"#,
            Some(FinishReason::Length) => r#""length","stop_reason":null,"token_ids":null}"#,
        };
        self.start_choice(part.index);
        for text in [before, part.text, after, end] {
            self.event.extend_from_slice(text.as_bytes());
        }
        self.chunks += 1;
        self.end_choice(out, part.usage, Some(self.chunks));
    }

    /// Writes the events after the last token.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>, usage: TokenUsage) {
        if self.format.usage != UsageChunks::Never {
            self.start();
            self.event.push(b']');
            self.add_usage(usage);
            self.event.push(b'}');
            self.write_event(out, None);
        }
        if !self.faults.omits_done() {
            self.event.clear();
            self.event.extend_from_slice(b"data: [DONE]");
            self.write_event(out, None);
        }
    }

    fn start(&mut self) {
        self.event.clear();
        self.event.extend_from_slice(self.head.as_bytes());
    }

    fn start_choice(&mut self, index: u32) {
        self.start();
        write!(self.event, "{{\"index\":{index},").expect("a buffer takes any text");
    }

    fn end_choice(&mut self, out: &mut Vec<u8>, usage: TokenUsage, chunk: Option<u32>) {
        self.event.push(b']');
        if self.format.usage == UsageChunks::Every {
            self.add_usage(usage);
        }
        self.event.push(b'}');
        self.write_event(out, chunk);
    }

    fn add_usage(&mut self, usage: TokenUsage) {
        let TokenUsage {
            prompt_tokens,
            completion_tokens,
            cached_tokens,
        } = usage;
        let total_tokens = prompt_tokens + completion_tokens;
        write!(
            self.event,
            ",\"usage\":{{\"prompt_tokens\":{prompt_tokens},\"total_tokens\":{total_tokens},\
             \"completion_tokens\":{completion_tokens},\
             \"prompt_tokens_details\":{{\"cached_tokens\":{cached_tokens}}}}}"
        )
        .expect("a buffer takes any text");
    }

    fn write_event(&mut self, out: &mut Vec<u8>, chunk: Option<u32>) {
        self.event.extend_from_slice(b"\n\n");
        self.faults.apply(&mut self.event, chunk);
        for piece in self.event.chunks(self.faults.piece_bytes()) {
            if self.format.framing == Framing::Chunked {
                write!(out, "{:x}\r\n", piece.len()).expect("a buffer takes any text");
            }
            out.extend_from_slice(piece);
            if self.format.framing == Framing::Chunked {
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: TokenUsage = TokenUsage {
        prompt_tokens: 20,
        completion_tokens: 1,
        cached_tokens: 16,
    };

    fn stream(api: Api, usage: UsageChunks, framing: Framing) -> String {
        let head = EventHead {
            id: "x-1",
            model: "a \"b\"",
            created_s: 7,
        };
        let format = StreamFormat {
            api,
            usage,
            framing,
        };
        let before = TokenUsage {
            completion_tokens: 0,
            ..USAGE
        };
        let part = AnswerPart {
            index: 0,
            text: " moon",
            finish: Some(FinishReason::Length),
            usage: USAGE,
        };
        let mut events = EventWriter::new(head, format, StreamFaults::default());
        let mut out = Vec::new();
        events.open(&mut out, 1, before);
        events.part(&mut out, part);
        events.close(&mut out, USAGE);
        String::from_utf8(out).unwrap()
    }

    fn events(text: &str) -> Vec<serde_json::Value> {
        let payloads = text
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "));
        payloads
            .filter(|payload| *payload != "[DONE]")
            .map(|json| serde_json::from_str(json).unwrap())
            .collect()
    }

    #[test]
    fn chat_stream_starts_with_the_role_and_ends_with_usage_and_done() {
        let text = stream(Api::Chat, UsageChunks::Last, Framing::UntilClose);
        let events = events(&text);
        assert_eq!(
            events[0]["choices"][0]["delta"],
            json!({"role": "assistant", "content": ""})
        );
        assert_eq!(
            events[1]["choices"][0]["delta"],
            json!({"content": " moon"})
        );
        assert_eq!(events[1]["choices"][0]["finish_reason"], "length");
        assert_eq!(events[1]["model"], "a \"b\"");
        assert_eq!(events[1].get("usage"), None);
        assert_eq!(events[2]["choices"], json!([]));
        assert_eq!(events[2]["usage"]["total_tokens"], 21);
        assert_eq!(
            events[2]["usage"]["prompt_tokens_details"]["cached_tokens"],
            16
        );
        assert!(text.ends_with("data: [DONE]\n\n"));
    }

    #[test]
    fn completion_stream_has_no_role_and_usage_only_if_requested() {
        let text = stream(Api::Completion, UsageChunks::Never, Framing::UntilClose);
        assert_eq!(events(&text).len(), 1);
        assert_eq!(events(&text)[0]["choices"][0]["text"], " moon");
        let all = events(&stream(Api::Chat, UsageChunks::Every, Framing::UntilClose));
        assert!(
            all.iter()
                .all(|event| event["usage"]["prompt_tokens"] == 20)
        );
    }

    #[test]
    fn each_event_is_one_http_chunk() {
        let plain = stream(Api::Chat, UsageChunks::Last, Framing::UntilClose);
        let mut rest = stream(Api::Chat, UsageChunks::Last, Framing::Chunked);
        let mut joined = String::new();
        while !rest.is_empty() {
            let (length, tail) = rest.split_once("\r\n").unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            joined.push_str(&tail[..length]);
            assert!(tail[..length].ends_with("\n\n"));
            rest = tail[length..].strip_prefix("\r\n").unwrap().to_owned();
        }
        assert_eq!(joined, plain);
    }
}
