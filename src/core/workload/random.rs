//! Prompts that share nothing, their lengths by distribution.

use super::length::Length;
use super::seed::{random, seed_of};
use super::text::{Message, Part};
use super::{ConfigError, Generate, Plan, Request, limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The config of the RANDOM workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Random {
    /// Tokens of the prefix that all prompts share.
    pub prefix_len: u64,
    /// Tokens of each prompt after the prefix: a number, `#{ uniform: [min, max] }`, `#{ normal:
    /// [mean, std] }` or `#{ lognormal: [mean, std] }`.
    pub input_len: Length,
    /// Exact tokens of each answer, like `input_len`. The end of text is ignored. By default,
    /// `max_tokens` is the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_len: Option<Length>,
}

impl Default for Random {
    fn default() -> Self {
        Self {
            prefix_len: 0,
            input_len: Length::Fixed(1024),
            output_len: None,
        }
    }
}

impl Generate for Random {
    fn check(&self) -> Result<(), ConfigError> {
        limits::tokens(&[("prefix_len", self.prefix_len)])?;
        self.input_len.check("input_len")?;
        self.output_len
            .map_or(Ok(()), |length| length.check("output_len"))
    }

    fn fixes_lengths(&self) -> bool {
        self.output_len.is_some()
    }

    fn generate(&self, plan: &mut Plan) {
        let mut random = random(plan.seed, "lengths");
        let prefix = Part::Words {
            seed: seed_of(plan.seed, "prefix", 0),
            tokens: self.prefix_len,
        };
        for i in 0..plan.count {
            let input_len = self.input_len.draw(1, &mut random);
            plan.requests.push(Request {
                timestamp: Some(0.0),
                session: i,
                context_len: self.prefix_len,
                query_len: input_len,
                output_len: self.output_len.map(|length| length.draw(1, &mut random)),
                messages: vec![Message::user(vec![
                    prefix.clone(),
                    plan.query(i, input_len),
                ])],
                ..Request::default()
            });
        }
    }

    fn title(&self) -> String {
        let output = self
            .output_len
            .map_or_else(String::new, |length| format!(", output {length}"));
        format!("random input {}{output} tokens", self.input_len)
    }
}
