//! The DUMMY and VARY workloads: one long context that all requests share, one question each.

use super::text::{FILLER, Message, Part};
use super::{ConfigError, Generate, Plan, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const QUESTION: &str = " Question: How are you doing today?";

/// The longest prompt that is made, tokens.
const MAX_CONTEXT_LEN: u64 = 32_768;

/// The config of the DUMMY workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dummy {
    /// Tokens of the shared context.
    pub context_len: u64,
    /// Tokens of each question.
    pub query_len: u64,
    /// The growth of the context.
    #[serde(skip)]
    pub growth: Growth,
}

/// The growth of the context from request to request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Growth {
    /// It does not.
    #[default]
    None,
    /// a, 2a, 2a, 3a, 3a …: VARY.
    Steps,
}

impl Default for Dummy {
    fn default() -> Self {
        Self {
            context_len: 8192,
            query_len: 16,
            growth: Growth::None,
        }
    }
}

impl Generate for Dummy {
    fn check(&self) -> Result<(), ConfigError> {
        if self.query_len < MAX_CONTEXT_LEN {
            return Ok(());
        }
        let problem = format!("must be below the longest prompt, {MAX_CONTEXT_LEN} tokens");
        Err(ConfigError::new("query_len", problem))
    }

    fn default_count(&self) -> u64 {
        10
    }

    fn default_gap_s(&self) -> Option<f64> {
        Some(8.0)
    }

    fn generate(&self, plan: &mut Plan) {
        let longest = MAX_CONTEXT_LEN - self.query_len;
        for i in 0..plan.count {
            let context_len = self
                .context_len
                .saturating_mul(self.growth.factor(i))
                .min(longest);
            let parts = vec![
                plan.filler(context_len),
                Part::Literal(format!(" Index {i}. ")),
                plan.filler(self.query_len),
                Part::Literal(QUESTION.into()),
            ];
            plan.requests.push(Request {
                timestamp: Some(0.0),
                session: i,
                context_len,
                query_len: self.query_len,
                messages: vec![Message::user(parts)],
                ..Request::default()
            });
        }
    }

    fn title(&self) -> String {
        let growing = if self.growth == Growth::Steps {
            "growing "
        } else {
            ""
        };
        format!("{growing}context {} tokens", self.context_len)
    }
}

impl Growth {
    /// Of request `i`; the original counts its requests from one.
    fn factor(self, i: u64) -> u64 {
        match self {
            Self::None => 1,
            Self::Steps => i.div_ceil(2) + 1,
        }
    }
}

impl Plan<'_> {
    /// As many whole sentences of filler as `tokens` hold.
    pub fn filler(&self, tokens: u64) -> Part {
        Part::Repeated {
            unit: FILLER,
            times: (tokens / self.lexicon.filler_tokens) as usize,
        }
    }
}
