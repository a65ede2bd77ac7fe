//! The requests of the `OpenAI` API. Other fields are accepted and ignored.

use super::error::ApiError;
use crate::sim::tokens::{self, GenerationPrompt, TokenId};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// The body of `/v1/chat/completions` and of `/v1/completions`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CompletionRequest {
    pub(crate) model: Option<String>,
    pub(crate) messages: Option<Vec<ChatMessage>>,
    pub(crate) prompt: Option<Prompt>,
    #[serde(deserialize_with = "whole")]
    pub(crate) max_tokens: Option<i64>,
    #[serde(deserialize_with = "whole")]
    pub(crate) max_completion_tokens: Option<i64>,
    #[serde(deserialize_with = "whole")]
    pub(crate) min_tokens: Option<i64>,
    pub(crate) ignore_eos: Option<bool>,
    #[serde(deserialize_with = "whole")]
    pub(crate) seed: Option<i64>,
    pub(crate) stop: Option<OneOrMany>,
    pub(crate) stream: Option<bool>,
    pub(crate) stream_options: Option<StreamOptions>,
    #[serde(deserialize_with = "whole")]
    pub(crate) n: Option<i64>,
    pub(crate) cache_salt: Option<String>,
    pub(crate) logprobs: Option<Value>,
    pub(crate) echo: Option<Value>,
    pub(crate) tools: Option<Value>,
    pub(crate) tool_choice: Option<Value>,
    pub(crate) response_format: Option<Value>,
}

/// Reads a whole number. Like vLLM, accepts one written as `4.0`.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    // An f64 below this is exact.
    const LIMIT: f64 = 9e15;
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    if let Some(whole) = number.as_i64() {
        return Ok(Some(whole));
    }
    match number.as_f64() {
        Some(float) if float.abs() < LIMIT && float.fract() == 0.0 => Ok(Some(float as i64)),
        _ => Err(D::Error::custom(format!(
            "expected an integer, got {number}"
        ))),
    }
}

impl CompletionRequest {
    /// Returns the fields with values that the simulator ignores.
    pub(crate) fn ignored_fields(&self) -> Vec<&'static str> {
        let plain_text = json!({ "type": "text" });
        let fields: [(&str, &Option<Value>, &[Value]); 5] = [
            ("logprobs", &self.logprobs, &[json!(false)]),
            ("echo", &self.echo, &[json!(false)]),
            ("tools", &self.tools, &[json!([])]),
            (
                "tool_choice",
                &self.tool_choice,
                &[json!("none"), json!("auto")],
            ),
            ("response_format", &self.response_format, &[plain_text]),
        ];
        let mut ignored = Vec::new();
        for (name, value, without_effect) in fields {
            if let Some(value) = value
                && !value.is_null()
                && !without_effect.contains(value)
            {
                ignored.push(name);
            }
        }
        ignored
    }
}

/// The body of `/tokenize`.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenizeRequest {
    pub(crate) model: Option<String>,
    pub(crate) messages: Option<Vec<ChatMessage>>,
    pub(crate) prompt: Option<String>,
    pub(crate) add_special_tokens: Option<bool>,
    pub(crate) add_generation_prompt: Option<bool>,
}

/// Options of a stream.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct StreamOptions {
    pub(crate) include_usage: Option<bool>,
    pub(crate) continuous_usage_stats: Option<bool>,
}

/// One message of a conversation.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatMessage {
    pub(crate) role: String,
    pub(crate) content: Option<MessageContent>,
}

/// The content of a message.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum MessageContent {
    Text(String),
    Parts(Vec<ContentPart>),
}

/// A part of a message. Only its text is used.
#[derive(Debug, Deserialize)]
pub(crate) struct ContentPart {
    pub(crate) text: Option<String>,
}

/// The prompt of a completion.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Prompt {
    Text(String),
    Tokens(Vec<TokenId>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<TokenId>>),
}

/// One text or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
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

/// Parses a body.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_data() {
            "invalid request"
        } else {
            "JSON decode error"
        };
        ApiError::Malformed(format!("{what}: {error}"))
    })
}

/// The tokens of a conversation.
pub(crate) fn chat_tokens(messages: &[ChatMessage], generation: GenerationPrompt) -> Vec<TokenId> {
    let texts: Vec<(&str, String)> = messages
        .iter()
        .map(|message| (message.role.as_str(), message.text()))
        .collect();
    tokens::chat_ids(
        texts.iter().map(|(role, text)| (*role, text.as_str())),
        generation,
    )
}

impl ChatMessage {
    fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(MessageContent::Text(text)) => text.clone(),
            Some(MessageContent::Parts(parts)) => parts
                .iter()
                .filter_map(|part| part.text.as_deref())
                .collect(),
        }
    }
}

impl Prompt {
    /// The tokens of each prompt.
    pub(crate) fn tokens(self) -> Result<Vec<Vec<TokenId>>, ApiError> {
        let prompts: Vec<Vec<TokenId>> = match self {
            Self::Text(text) => vec![tokens::prompt_ids(&text)],
            Self::Texts(texts) => texts.iter().map(|text| tokens::prompt_ids(text)).collect(),
            Self::Tokens(tokens) => vec![tokens],
            Self::TokenLists(lists) => lists,
        };
        if prompts.is_empty() || prompts.iter().any(Vec::is_empty) {
            return Err(ApiError::invalid(
                "prompt",
                "expected at least one prompt, and no empty prompts",
            ));
        }
        Ok(prompts)
    }
}
