//! Many users, each in a conversation of their own, with time to think.

use super::seed::{random, seed_of};
use super::text::{Message, Part};
use super::{After, ConfigError, Generate, Plan, Request, limits};
use crate::core::Seconds;
use rand_distr::{Distribution, Exp1};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The config of the CHAT workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Chat {
    /// Number of users, which start at the request rate. With `concurrency`, the number of users at
    /// the same time is limited.
    pub users: u64,
    /// Number of questions of each user.
    pub turns: u64,
    /// Tokens of the shared system prompt.
    pub system_len: u64,
    /// Tokens of the history of each user.
    pub context_len: u64,
    /// Tokens of each question.
    pub query_len: u64,
    /// Mean time between an answer and the next question, in seconds, exponentially distributed.
    pub think_s: Seconds,
}

impl Default for Chat {
    fn default() -> Self {
        Self {
            users: 10,
            turns: 5,
            system_len: 1024,
            context_len: 2048,
            query_len: 16,
            think_s: Seconds(1.0),
        }
    }
}

impl Generate for Chat {
    fn check(&self) -> Result<(), ConfigError> {
        limits::counts(&[("users", self.users), ("turns", self.turns)])?;
        limits::tokens(&[
            ("system_len", self.system_len),
            ("context_len", self.context_len),
            ("query_len", self.query_len),
        ])
    }

    fn own_count(&self) -> Option<(&'static str, u64)> {
        Some(("`users` and `turns`", self.users))
    }

    fn count(&self, arrivals: u64) -> u64 {
        arrivals * self.turns
    }

    fn generate(&self, plan: &mut Plan) {
        let mut random = random(plan.seed, "think");
        let words = |seed: u64, what, number, tokens| Part::Words {
            seed: seed_of(seed, what, number),
            tokens,
        };
        for user in 0..plan.count {
            for turn in 0..self.turns {
                let question = plan.query(user * self.turns + turn, self.query_len);
                let mut messages = Vec::new();
                if turn == 0 && self.system_len > 0 {
                    messages.push(Message::system(vec![words(
                        plan.seed,
                        "system",
                        0,
                        self.system_len,
                    )]));
                }
                let history = (turn == 0).then(|| words(plan.seed, "user", user, self.context_len));
                messages.push(Message::user(
                    history.into_iter().chain([question]).collect(),
                ));
                let think_s = self.think_s.0 * Distribution::<f64>::sample(&Exp1, &mut random);
                let before = plan.requests.len().wrapping_sub(1);
                plan.requests.push(Request {
                    timestamp: (turn == 0).then_some(0.0),
                    after: (turn > 0).then_some(After {
                        request: before,
                        wait_s: think_s,
                        continues: true,
                    }),
                    session: user,
                    turn,
                    context_len: if turn == 0 {
                        self.system_len + self.context_len
                    } else {
                        0
                    },
                    query_len: self.query_len,
                    messages,
                    ..Request::default()
                });
            }
        }
    }

    fn title(&self) -> String {
        format!(
            "{} users of {} turns, {} + {} tokens before",
            self.users, self.turns, self.system_len, self.context_len
        )
    }
}
