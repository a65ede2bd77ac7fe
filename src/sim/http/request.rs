//! The requests of the `OpenAI` API, as far as they matter here. Other fields are accepted and do nothing.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::Value;

use super::{
    super::tokens::{self, GenerationPrompt, TokenId},
    error::Refusal,
};

/// The body of `/v1/chat/completions` and of `/v1/completions`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CompletionRequest {
    pub model: Option<String>,
    pub messages: Option<Vec<Message>>,
    pub prompt: Option<Prompt>,
    #[serde(deserialize_with = "whole")]
    pub max_tokens: Option<i64>,
    #[serde(deserialize_with = "whole")]
    pub max_completion_tokens: Option<i64>,
    #[serde(deserialize_with = "whole")]
    pub min_tokens: Option<i64>,
    pub ignore_eos: Option<bool>,
    #[serde(deserialize_with = "whole")]
    pub seed: Option<i64>,
    pub stop: Option<OneOrMany>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    #[serde(deserialize_with = "whole")]
    pub n: Option<i64>,
    pub cache_salt: Option<String>,
    pub logprobs: Option<Value>,
    pub echo: Option<Value>,
    pub tools: Option<Value>,
    pub tool_choice: Option<Value>,
    pub response_format: Option<Value>,
}

/// Reads a whole number; like vLLM, also one written as `4.0`.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    // The largest below which an f64 is exact.
    const LARGEST: f64 = 9e15;
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let whole = || {
        number
            .as_f64()
            .filter(|n| n.abs() < LARGEST && n.fract() == 0.0)
    };
    let read = number.as_i64().or_else(|| whole().map(|n| n as i64));
    read.map(Some)
        .ok_or_else(|| D::Error::custom(format!("expected an integer, got {number}")))
}

impl CompletionRequest {
    /// The fields that ask for something that the simulator does not do.
    pub fn ignored(&self) -> impl Iterator<Item = &'static str> {
        let asks = |value: &Option<Value>, idle: &[Value]| {
            value
                .as_ref()
                .is_some_and(|value| !value.is_null() && !idle.contains(value))
        };
        let fields = [
            ("logprobs", asks(&self.logprobs, &[false.into()])),
            ("echo", asks(&self.echo, &[false.into()])),
            ("tools", asks(&self.tools, &[Value::Array(Vec::new())])),
            (
                "tool_choice",
                asks(&self.tool_choice, &["none".into(), "auto".into()]),
            ),
            (
                "response_format",
                asks(
                    &self.response_format,
                    &[serde_json::json!({ "type": "text" })],
                ),
            ),
        ];
        fields
            .into_iter()
            .filter(|(_, asks)| *asks)
            .map(|(name, _)| name)
    }
}

/// The body of `/tokenize`.
#[derive(Debug, Deserialize)]
pub struct TokenizeRequest {
    pub model: Option<String>,
    pub messages: Option<Vec<Message>>,
    pub prompt: Option<String>,
    pub add_special_tokens: Option<bool>,
    pub add_generation_prompt: Option<bool>,
}

/// What a stream is to tell beside the text.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct StreamOptions {
    pub include_usage: Option<bool>,
    pub continuous_usage_stats: Option<bool>,
}

/// One message of a conversation.
#[derive(Debug, Deserialize)]
pub struct Message {
    pub role: String,
    pub content: Option<Content>,
}

/// What a message says.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of a message; only text counts.
#[derive(Debug, Deserialize)]
pub struct Part {
    pub text: Option<String>,
}

/// A plain prompt.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Prompt {
    Text(String),
    Tokens(Vec<TokenId>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<TokenId>>),
}

/// A text or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(texts: OneOrMany) -> Self {
        match texts {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        }
    }
}

/// Reads a body.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_data() {
            "invalid request"
        } else {
            "JSON decode error"
        };
        Refusal::Malformed(format!("{what}: {error}"))
    })
}

/// The tokens of a conversation.
pub fn chat_tokens(messages: &[Message], generation: GenerationPrompt) -> Vec<TokenId> {
    let texts: Vec<(&str, String)> = messages
        .iter()
        .map(|message| (message.role.as_str(), message.text()))
        .collect();
    tokens::chat_ids(
        texts.iter().map(|(role, text)| (*role, text.as_str())),
        generation,
    )
}

impl Message {
    fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => parts
                .iter()
                .filter_map(|part| part.text.as_deref())
                .collect(),
        }
    }
}

impl Prompt {
    /// The tokens of each prompt.
    pub fn tokens(self) -> Result<Vec<Vec<TokenId>>, Refusal> {
        let prompts: Vec<Vec<TokenId>> = match self {
            Self::Text(text) => vec![tokens::prompt_ids(&text)],
            Self::Texts(texts) => texts.iter().map(|text| tokens::prompt_ids(text)).collect(),
            Self::Tokens(tokens) => vec![tokens],
            Self::TokenLists(lists) => lists,
        };
        if prompts.is_empty() || prompts.iter().any(Vec::is_empty) {
            return Err(Refusal::invalid(
                "prompt",
                "expected at least one prompt, and none that is empty",
            ));
        }
        Ok(prompts)
    }
}
