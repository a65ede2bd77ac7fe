//! Requests as a script gives them.

use super::text::{Message, Part, estimate_tokens};
use super::{After, ConfigError, Generate, Plan, Request, TextOptions};
use crate::core::Seconds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The config of the CUSTOM workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Custom {
    /// The requests, in their order.
    pub given: Vec<GivenRequest>,
}

/// One request as a script gives it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GivenRequest {
    /// Time to send it, in seconds.
    pub timestamp: Seconds,
    /// Text of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Arc<str>>,
    /// Messages, instead of `prompt`: `[#{ role:, content: }, …]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<GivenMessage>,
    /// Exact number of tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_len: Option<u64>,
    /// Index of the earlier request whose conversation it continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<usize>,
}

/// One message as a script gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenMessage {
    /// The role of the speaker.
    pub role: Arc<str>,
    /// The text.
    pub content: Arc<str>,
}

impl Generate for Custom {
    fn check(&self) -> Result<(), ConfigError> {
        ConfigError::first(&[(
            self.given.is_empty(),
            "requests",
            "must be at least one: the list is empty",
        )])?;
        for (i, given) in self.given.iter().enumerate() {
            if given.prompt.is_some() != given.messages.is_empty() {
                return Err(ConfigError::new(
                    "prompt",
                    format!("or `messages`: request {i} needs one of them"),
                ));
            }
            if given.after.is_some_and(|after| after >= i) {
                return Err(ConfigError::new(
                    "after",
                    format!("of request {i} must be an earlier request, from 0"),
                ));
            }
        }
        Ok(())
    }

    fn check_tokenizer(&self, tokenizer: &str) -> Result<(), &'static str> {
        match tokenizer {
            TextOptions::RULE => Ok(()),
            _ => Err("has no effect here: texts of a script are counted by the rule"),
        }
    }

    fn default_gap_s(&self) -> Option<f64> {
        None
    }

    fn own_count(&self) -> Option<(&'static str, u64)> {
        Some(("the list of requests", self.given.len() as u64))
    }

    fn fixes_lengths(&self) -> bool {
        self.given.iter().any(|given| given.output_len.is_some())
    }

    fn generate(&self, plan: &mut Plan) {
        for (i, given) in self.given.iter().enumerate() {
            let messages = given.messages();
            let of_length = |message: &Message| estimate_tokens(&message.text(plan.lexicon));
            let lengths: Vec<u64> = messages.iter().map(of_length).collect();
            let query_len = lengths.last().copied().unwrap_or_default();
            plan.requests.push(Request {
                timestamp: Some(given.timestamp.0),
                after: given.after.map(|request| After {
                    request,
                    wait_s: 0.0,
                    continues: true,
                }),
                session: given
                    .after
                    .map_or(i as u64, |after| plan.requests[after].session),
                turn: given.after.map_or(0, |after| plan.requests[after].turn + 1),
                context_len: lengths.iter().sum::<u64>() - query_len,
                query_len,
                output_len: given.output_len,
                messages,
                ..Request::default()
            });
        }
    }

    fn title(&self) -> String {
        "requests of the script".into()
    }
}

impl GivenRequest {
    fn messages(&self) -> Vec<Message> {
        if let Some(prompt) = &self.prompt {
            return vec![Message::user(vec![Part::Shared(prompt.clone())])];
        }
        let message = |given: &GivenMessage| Message {
            role: given.role.clone(),
            parts: vec![Part::Shared(given.content.clone())],
        };
        self.messages.iter().map(message).collect()
    }
}
