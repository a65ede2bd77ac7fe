//! The requests of the `OpenAI` API, as far as they matter here. Other fields are accepted and do nothing.

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    super::tokens::{self, GenerationPrompt, TokenId},
    error::Refusal,
};

/// The body of `/v1/chat/completions` and of `/v1/completions`.
#[derive(Debug, Default, Deserialize)]
pub struct CompletionRequest {
    pub model: Option<String>,
    pub messages: Option<Vec<Message>>,
    pub prompt: Option<Prompt>,
    pub max_tokens: Option<i64>,
    pub max_completion_tokens: Option<i64>,
    pub min_tokens: Option<i64>,
    pub ignore_eos: Option<bool>,
    pub seed: Option<i64>,
    pub stop: Option<OneOrMany>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    pub n: Option<i64>,
    pub cache_salt: Option<String>,
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
}

/// A text or several.
#[derive(Debug, Deserialize)]
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
        let what = if error.is_data() { "invalid request" } else { "JSON decode error" };
        Refusal::Malformed(format!("{what}: {error}"))
    })
}

/// The tokens of a conversation.
pub fn chat_tokens(messages: &[Message], generation: GenerationPrompt) -> Vec<TokenId> {
    let texts: Vec<(&str, String)> =
        messages.iter().map(|message| (message.role.as_str(), message.text())).collect();
    tokens::chat_ids(texts.iter().map(|(role, text)| (*role, text.as_str())), generation)
}

impl Message {
    fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => parts.iter().filter_map(|part| part.text.as_deref()).collect(),
        }
    }
}

impl Prompt {
    /// The tokens of the prompt.
    pub fn tokens(self) -> Result<Vec<TokenId>, Refusal> {
        match self {
            Self::Text(text) => Ok(tokens::prompt_ids(&text)),
            Self::Texts(texts) if texts.len() == 1 => Ok(tokens::prompt_ids(&texts[0])),
            Self::Tokens(tokens) if !tokens.is_empty() => Ok(tokens),
            Self::Tokens(_) | Self::Texts(_) => {
                Err(Refusal::invalid("prompt", "expected exactly one prompt"))
            }
        }
    }
}
