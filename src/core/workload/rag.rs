//! Retrieval: some documents of many in changing order, and a question.
//!
//! Prompts share documents but hardly ever a prefix: a prefix cache fails, one that blends cached
//! pieces does not.

use super::prefix_reuse::{Reuse, check_exponent};
use super::seed::{random, seed_of};
use super::text::{Message, Part};
use super::{ConfigError, Generate, Plan, Request, limits};
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The config of the RAG workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rag {
    /// Number of documents.
    pub documents: u64,
    /// Number of documents in each prompt.
    pub retrieved: u64,
    /// Tokens of each document.
    pub document_len: u64,
    /// Tokens of the shared system prompt.
    pub system_len: u64,
    /// Tokens of each question.
    pub query_len: u64,
    /// Distribution of the retrieved documents: "uniform", or "zipf" with the k-th document in
    /// proportion to 1 / k^`zipf_exponent`.
    pub reuse: Reuse,
    /// Exponent of "zipf": the larger, the more unequal.
    pub zipf_exponent: f64,
    /// Text between documents. Caches that blend chunks look for it.
    pub separator: String,
}

impl Default for Rag {
    fn default() -> Self {
        Self {
            documents: 20,
            retrieved: 4,
            document_len: 2048,
            system_len: 32,
            query_len: 16,
            reuse: Reuse::Uniform,
            zipf_exponent: 1.0,
            separator: " # # ".into(),
        }
    }
}

impl Generate for Rag {
    fn check(&self) -> Result<(), ConfigError> {
        limits::counts(&[("documents", self.documents)])?;
        limits::tokens(&[
            ("document_len", self.document_len),
            ("system_len", self.system_len),
            ("query_len", self.query_len),
        ])?;
        let is_none_or_many = self.retrieved == 0 || self.retrieved > self.documents;
        ConfigError::first(&[(
            is_none_or_many,
            "retrieved",
            "must be at least one and at most `documents`",
        )])?;
        check_exponent(self.zipf_exponent)
    }

    fn generate(&self, plan: &mut Plan) {
        let mut random = random(plan.seed, "retrieved");
        let system = Part::Words {
            seed: seed_of(plan.seed, "system", 0),
            tokens: self.system_len,
        };
        let separator: Arc<str> = self.separator.as_str().into();
        let weights = self.weights();
        for i in 0..plan.count {
            let mut parts = vec![system.clone()];
            for document in self.retrieve(&weights, &mut random) {
                parts.push(Part::Shared(separator.clone()));
                parts.push(Part::Words {
                    seed: seed_of(plan.seed, "document", document as u64),
                    tokens: self.document_len,
                });
            }
            parts.push(Part::Shared(separator.clone()));
            parts.push(plan.query(i, self.query_len));
            plan.requests.push(Request {
                timestamp: Some(0.0),
                session: i,
                context_len: self.system_len + self.retrieved * self.document_len,
                query_len: self.query_len,
                messages: vec![Message::user(parts)],
                ..Request::default()
            });
        }
    }

    fn title(&self) -> String {
        format!(
            "{} of {} documents of {} tokens",
            self.retrieved, self.documents, self.document_len
        )
    }
}

impl Rag {
    /// Returns the relative frequency with which each document is retrieved.
    fn weights(&self) -> Vec<f64> {
        let exponent = if self.reuse == Reuse::Zipf {
            self.zipf_exponent
        } else {
            0.0
        };
        (1..=self.documents)
            .map(|k| (k as f64).powf(-exponent))
            .collect()
    }

    /// Different documents in random order.
    fn retrieve(&self, weights: &[f64], random: &mut ChaCha8Rng) -> Vec<usize> {
        let (all, wanted) = (weights.len(), self.retrieved as usize);
        let uniform = |random: &mut ChaCha8Rng| index::sample(random, all, wanted);
        let found = match self.reuse {
            Reuse::Uniform => uniform(random),
            // Weights above zero are never refused.
            Reuse::Zipf => {
                index::sample_weighted(random, all, |document| weights[document], wanted)
                    .unwrap_or_else(|_| uniform(random))
            }
        };
        let mut found = found.into_vec();
        found.shuffle(random);
        found
    }
}
