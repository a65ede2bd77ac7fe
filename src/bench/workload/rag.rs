//! Retrieval: some documents of many in changing order, and a question.
//!
//! Prompts share documents but hardly ever a prefix: a prefix cache fails, one that blends cached
//! pieces does not.

use super::arrivals::{random, shuffled};
use super::prefix_reuse::{Reuse, check_exponent};
use super::text::{Message, Part, seed_of};
use super::{ConfigError, Generate, Plan, Request};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The config of the RAG workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rag {
    /// How many documents there are.
    pub documents: u64,
    /// How many each request has.
    pub retrieved: u64,
    /// Tokens of each document.
    pub document_len: u64,
    /// Tokens of the system prompt, which all share.
    pub system_len: u64,
    /// Tokens of the question.
    pub query_len: u64,
    /// How often each document is retrieved.
    pub reuse: Reuse,
    /// How steep a Zipf distribution is.
    pub zipf_exponent: f64,
    /// What stands between the documents; blending caches look for it.
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
        if self.retrieved == 0 || self.retrieved > self.documents {
            return Err(ConfigError::new("retrieved", "must be at least one and at most `documents`"));
        }
        check_exponent(self.zipf_exponent)
    }

    fn make(&self, plan: &mut Plan) {
        let mut random = random(plan.seed, "retrieved");
        let system = Part::Words { seed: seed_of(plan.seed, "system", 0), tokens: self.system_len };
        for i in 0..plan.arrivals {
            let mut parts = vec![system.clone()];
            for document in self.retrieve(&mut random) {
                parts.push(Part::Literal(self.separator.clone()));
                parts.push(Part::Words {
                    seed: seed_of(plan.seed, "document", document),
                    tokens: self.document_len,
                });
            }
            parts.push(Part::Literal(self.separator.clone()));
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
        format!("{} of {} documents of {} tokens", self.retrieved, self.documents, self.document_len)
    }
}

impl Rag {
    /// Different documents in random order.
    fn retrieve(&self, random: &mut ChaCha8Rng) -> Vec<u64> {
        if self.reuse == Reuse::Uniform {
            let order = shuffled(self.documents as usize, random);
            return order.into_iter().take(self.retrieved as usize).map(|document| document as u64).collect();
        }
        let mut found: Vec<u64> = Vec::new();
        while (found.len() as u64) < self.retrieved {
            let document = self.reuse.draw(self.documents, self.zipf_exponent, random);
            if !found.contains(&document) {
                found.push(document);
            }
        }
        // The frequent ones were drawn first.
        shuffled(found.len(), random).into_iter().map(|place| found[place]).collect()
    }
}
