//! Questions about long documents: every document once, then questions to all of them.

use super::seed::{random, seed_of};
use super::text::{Message, Part};
use super::{ConfigError, Generate, Plan, Request, limits};
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The config of the `LONG_DOC_QA` workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LongDocQa {
    /// Number of documents.
    pub documents: u64,
    /// Tokens of each document.
    pub context_len: u64,
    /// Tokens of each question.
    pub query_len: u64,
    /// Number of questions about each document after the first round.
    pub repeats: u64,
    /// Order of the questions: "shuffled"; "tile" for all documents again and again; "interleave"
    /// for all questions about one document before the next.
    pub order: Order,
}

/// The order of the questions after the first round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// At random.
    Shuffled,
    /// All documents one after the other, again and again: the worst for an LRU cache.
    Tile,
    /// All questions to the first document, then all to the next: the best for it.
    Interleave,
}

impl Default for LongDocQa {
    fn default() -> Self {
        Self {
            documents: 8,
            context_len: 8192,
            query_len: 16,
            repeats: 2,
            order: Order::Shuffled,
        }
    }
}

impl Generate for LongDocQa {
    fn check(&self) -> Result<(), ConfigError> {
        limits::counts(&[
            ("documents", self.documents),
            ("repeats", self.repeats.max(1)),
        ])?;
        limits::tokens(&[
            ("context_len", self.context_len),
            ("query_len", self.query_len),
        ])
    }

    fn own_count(&self) -> Option<(&'static str, u64)> {
        Some((
            "`documents` and `repeats`",
            self.documents * self.repeats.max(1),
        ))
    }

    fn count(&self, _: u64) -> u64 {
        self.documents * (1 + self.repeats)
    }

    fn generate(&self, plan: &mut Plan) {
        let mut asked = vec![0; self.documents as usize];
        let first = (0..self.documents).map(|document| (0, document));
        for (round, document) in first.chain(
            self.queries(plan.seed)
                .into_iter()
                .map(|document| (1, document)),
        ) {
            let context = Part::Words {
                seed: seed_of(plan.seed, "document", document),
                tokens: self.context_len,
            };
            let question = plan.query(plan.requests.len() as u64, self.query_len);
            plan.requests.push(Request {
                timestamp: Some(0.0),
                round,
                session: document,
                turn: asked[document as usize],
                context_len: self.context_len,
                query_len: self.query_len,
                messages: vec![Message::user(vec![context, question])],
                ..Request::default()
            });
            asked[document as usize] += 1;
        }
    }

    fn title(&self) -> String {
        format!(
            "{} documents of {} tokens, each asked {} times",
            self.documents,
            self.context_len,
            1 + self.repeats
        )
    }
}

impl LongDocQa {
    /// The documents that are asked after the first round.
    fn queries(&self, seed: u64) -> Vec<u64> {
        let all = self.documents * self.repeats;
        match self.order {
            Order::Tile => (0..all).map(|i| i % self.documents).collect(),
            Order::Interleave => (0..all).map(|i| i / self.repeats).collect(),
            Order::Shuffled => {
                let mut queries: Vec<u64> = (0..all).map(|i| i % self.documents).collect();
                queries.shuffle(&mut random(seed, "order"));
                queries
            }
        }
    }
}
