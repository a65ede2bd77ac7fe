//! The MULTI workload: one conversation whose answers become its history.

use super::text::{Message, Part};
use super::{After, ConfigError, Generate, Plan, Request, limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const QUESTION: &str = " Question: Please write a very long essay (more than 1500 tokens). ";

/// The config of the MULTI workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MultiTurn {
    /// Number of questions.
    pub turns: u64,
    /// Tokens before the first question.
    pub context_len: u64,
    /// Tokens of each question.
    pub query_len: u64,
}

impl Default for MultiTurn {
    fn default() -> Self {
        Self {
            turns: 10,
            context_len: 0,
            query_len: 16,
        }
    }
}

impl Generate for MultiTurn {
    fn check(&self) -> Result<(), ConfigError> {
        limits::counts(&[("turns", self.turns)])?;
        limits::tokens(&[
            ("context_len", self.context_len),
            ("query_len", self.query_len),
        ])
    }

    fn default_gap_s(&self) -> Option<f64> {
        Some(8.0)
    }

    fn own_count(&self) -> Option<(&'static str, u64)> {
        Some(("`turns`", self.turns))
    }

    fn generate(&self, plan: &mut Plan) {
        for turn in 0..plan.count {
            let context_len = if turn == 0 { self.context_len } else { 0 };
            let parts = vec![
                plan.filler(context_len),
                Part::Literal(format!("Index {turn}. ")),
                plan.filler(self.query_len),
                Part::Literal(QUESTION.into()),
            ];
            let before = turn.checked_sub(1);
            plan.requests.push(Request {
                timestamp: Some(0.0),
                after: before.map(|turn| After {
                    request: turn as usize,
                    wait_s: 0.0,
                    continues: true,
                }),
                turn,
                context_len,
                query_len: self.query_len,
                messages: vec![Message::user(parts)],
                ..Request::default()
            });
        }
    }

    fn title(&self) -> String {
        "one conversation".into()
    }
}
