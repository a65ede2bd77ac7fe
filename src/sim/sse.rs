//! The bytes of a streamed answer: events as vLLM writes them, in the chunks of HTTP/1.1.
//!
//! All that does not change between two tokens is formatted once.

use std::io::Write;

use serde_json::json;

use super::{fault::Spoiler, words::FinishReason};

/// Which of the two APIs an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completion,
}

/// When a stream tells the usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageChunks {
    /// Never.
    Never,
    /// In a chunk of its own, the last one.
    Last,
    /// In every chunk.
    Every,
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// By the end of the connection, for HTTP/1.0.
    UntilClose,
}

/// Token counts of one request.
#[expect(clippy::struct_field_names, reason = "the names of the API")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens written so far.
    pub completion_tokens: u32,
    /// Tokens of the prompt that were not computed.
    pub cached_tokens: u32,
}

impl Usage {
    /// Adds the usage of another answer to the same request.
    pub fn add(&mut self, other: Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cached_tokens += other.cached_tokens;
    }

    /// Returns the part that counts for a further answer to a prompt: its output only.
    #[must_use]
    pub fn without_prompt(self) -> Self {
        Self {
            completion_tokens: self.completion_tokens,
            ..Self::default()
        }
    }

    /// The `usage` object of the API.
    pub fn json(self) -> serde_json::Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "completion_tokens": self.completion_tokens,
            "prompt_tokens_details": { "cached_tokens": self.cached_tokens },
        })
    }
}

/// A part of the answer with this index.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Index of the answer in its request.
    pub index: u32,
    /// The text, made of letters and spaces: it needs no escapes.
    pub text: &'a str,
    /// The reason why the answer ends; set in its last part.
    pub finish: Option<FinishReason>,
    /// Usage of this answer so far.
    pub usage: Usage,
}

/// Formats the events of one stream.
#[derive(Debug)]
pub struct Events {
    head: String,
    api: Api,
    usage: UsageChunks,
    framing: Framing,
    line: Vec<u8>,
    spoiler: Spoiler,
    chunks: u32,
}

impl Events {
    /// The events of the answer with this id.
    pub fn new(
        id: &str,
        model: &str,
        created_s: u64,
        api: Api,
        usage: UsageChunks,
        framing: Framing,
    ) -> Self {
        let object = match api {
            Api::Chat => "chat.completion.chunk",
            Api::Completion => "text_completion",
        };
        let head = format!(
            "data: {{\"id\":{},\"object\":\"{object}\",\"created\":{created_s},\"model\":{},\"choices\":[",
            json!(id),
            json!(model)
        );
        let line = Vec::with_capacity(512);
        Self {
            head,
            api,
            usage,
            framing,
            line,
            spoiler: Spoiler::default(),
            chunks: 0,
        }
    }

    /// The same, spoiled.
    #[must_use]
    pub fn spoiled(self, spoiler: Spoiler) -> Self {
        Self { spoiler, ..self }
    }

    /// What is done to them.
    pub fn spoiler(&self) -> &Spoiler {
        &self.spoiler
    }

    /// Chunks so far.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Writes the events before the first token: a role for each of the answers in a chat.
    pub fn open(&mut self, out: &mut Vec<u8>, answers: u32, usage: Usage) {
        if self.api == Api::Completion {
            return;
        }
        let rest =
            r#""delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}"#;
        for index in 0..answers {
            self.begin_choice(index);
            self.line.extend_from_slice(rest.as_bytes());
            self.end(out, usage, None);
        }
    }

    /// Writes one part of one answer.
    pub fn part(&mut self, out: &mut Vec<u8>, part: Part<'_>) {
        let Part {
            index,
            text,
            finish,
            usage,
        } = part;
        let (before, after): (&[u8], &[u8]) = match self.api {
            Api::Chat => (
                br#""delta":{"content":""#,
                br#""},"logprobs":null,"finish_reason":"#,
            ),
            Api::Completion => (br#""text":""#, br#"","logprobs":null,"finish_reason":"#),
        };
        self.begin_choice(index);
        self.line.extend_from_slice(before);
        self.line.extend_from_slice(text.as_bytes());
        self.line.extend_from_slice(after);
        self.line.extend_from_slice(match finish {
            None => br#"null,"token_ids":null}"#,
            Some(FinishReason::Stop) => br#""stop","stop_reason":null,"token_ids":null}"#,
            Some(FinishReason::Length) => br#""length","stop_reason":null,"token_ids":null}"#,
        });
        self.chunks += 1;
        self.end(out, usage, Some(self.chunks));
    }

    /// What comes after the last token.
    pub fn close(&mut self, out: &mut Vec<u8>, usage: Usage) {
        if self.usage != UsageChunks::Never {
            self.begin();
            self.line.push(b']');
            self.usage(usage);
            self.line.push(b'}');
            self.finish_line(out, None);
        }
        if !self.spoiler.omits_done() {
            self.line.clear();
            self.line.extend_from_slice(b"data: [DONE]");
            self.finish_line(out, None);
        }
    }

    fn begin(&mut self) {
        self.line.clear();
        self.line.extend_from_slice(self.head.as_bytes());
    }

    fn begin_choice(&mut self, index: u32) {
        self.begin();
        write!(self.line, "{{\"index\":{index},").expect("a buffer takes any text");
    }

    fn end(&mut self, out: &mut Vec<u8>, usage: Usage, chunk: Option<u32>) {
        self.line.push(b']');
        if self.usage == UsageChunks::Every {
            self.usage(usage);
        }
        self.line.push(b'}');
        self.finish_line(out, chunk);
    }

    fn usage(&mut self, usage: Usage) {
        let Usage {
            prompt_tokens,
            completion_tokens,
            cached_tokens,
        } = usage;
        let total_tokens = prompt_tokens + completion_tokens;
        write!(
            self.line,
            ",\"usage\":{{\"prompt_tokens\":{prompt_tokens},\"total_tokens\":{total_tokens},\"completion_tokens\":\
             {completion_tokens},\"prompt_tokens_details\":{{\"cached_tokens\":{cached_tokens}}}}}"
        )
        .expect("a buffer takes any text");
    }

    fn finish_line(&mut self, out: &mut Vec<u8>, chunk: Option<u32>) {
        self.line.extend_from_slice(b"\n\n");
        self.spoiler.spoil(&mut self.line, chunk);
        for piece in self.line.chunks(self.spoiler.piece_bytes()) {
            if self.framing == Framing::Chunked {
                write!(out, "{:x}\r\n", piece.len()).expect("a buffer takes any text");
            }
            out.extend_from_slice(piece);
            if self.framing == Framing::Chunked {
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage = Usage {
        prompt_tokens: 20,
        completion_tokens: 1,
        cached_tokens: 16,
    };

    fn stream(api: Api, usage: UsageChunks, framing: Framing) -> String {
        let mut events = Events::new("x-1", "a \"b\"", 7, api, usage, framing);
        let mut out = Vec::new();
        events.open(
            &mut out,
            1,
            Usage {
                completion_tokens: 0,
                ..USAGE
            },
        );
        let finish = Some(FinishReason::Length);
        events.part(
            &mut out,
            Part {
                index: 0,
                text: " moon",
                finish,
                usage: USAGE,
            },
        );
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
    fn a_chat_begins_with_the_role_and_ends_with_usage_and_done() {
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
    fn a_completion_has_no_role_and_usage_only_where_asked() {
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
    fn every_event_is_one_chunk_of_the_length_it_states() {
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
