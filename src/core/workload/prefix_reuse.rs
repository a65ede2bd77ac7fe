//! Prefixes that are used again and again, some more often than others.

use super::seed::{random, seed_of};
use super::text::{Message, Part};
use super::{ConfigError, Generate, Plan, Request, limits};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Zipf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The config of the `PREFIX_REUSE` workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PrefixReuse {
    /// Number of prefixes.
    pub prefixes: u64,
    /// Tokens of each prefix.
    pub context_len: u64,
    /// Tokens of each question.
    pub query_len: u64,
    /// Distribution of the prefixes over the requests: "uniform", or "zipf" with the k-th prefix in
    /// proportion to 1 / k^`zipf_exponent`.
    pub reuse: Reuse,
    /// Exponent of "zipf": the larger, the more unequal.
    pub zipf_exponent: f64,
}

/// The distribution of the reuse of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// All alike.
    Uniform,
    /// The k-th in proportion to `1 / k^exponent`.
    Zipf,
}

impl Default for PrefixReuse {
    fn default() -> Self {
        Self {
            prefixes: 8,
            context_len: 8192,
            query_len: 16,
            reuse: Reuse::Uniform,
            zipf_exponent: 1.0,
        }
    }
}

impl Generate for PrefixReuse {
    fn check(&self) -> Result<(), ConfigError> {
        limits::counts(&[("prefixes", self.prefixes)])?;
        limits::tokens(&[
            ("context_len", self.context_len),
            ("query_len", self.query_len),
        ])?;
        check_exponent(self.zipf_exponent)
    }

    fn generate(&self, plan: &mut Plan) {
        let mut random = random(plan.seed, "reuse");
        let mut used = vec![0; self.prefixes as usize];
        for i in 0..plan.count {
            let prefix = self
                .reuse
                .draw(self.prefixes, self.zipf_exponent, &mut random);
            let context = Part::Words {
                seed: seed_of(plan.seed, "prefix", prefix),
                tokens: self.context_len,
            };
            plan.requests.push(Request {
                timestamp: Some(0.0),
                session: prefix,
                turn: used[prefix as usize],
                context_len: self.context_len,
                query_len: self.query_len,
                messages: vec![Message::user(vec![context, plan.query(i, self.query_len)])],
                ..Request::default()
            });
            used[prefix as usize] += 1;
        }
    }

    fn title(&self) -> String {
        let reuse = if self.reuse == Reuse::Zipf {
            "Zipf"
        } else {
            "uniform"
        };
        format!(
            "{} prefixes of {} tokens, {reuse} reuse",
            self.prefixes, self.context_len
        )
    }
}

impl Reuse {
    /// One of `n`, from 0; of a Zipf distribution the first is the most frequent.
    pub fn draw(self, n: u64, exponent: f64, random: &mut ChaCha8Rng) -> u64 {
        match (self, Zipf::new(n as f64, exponent)) {
            (Self::Zipf, Ok(zipf)) => zipf.sample(random) as u64 - 1,
            _ => random.random_range(0..n),
        }
    }
}

/// The exponent of a Zipf distribution, if it can be drawn from: with a steeper one all but the
/// first would be lost to rounding.
pub fn check_exponent(exponent: f64) -> Result<(), ConfigError> {
    let is_fine = exponent > 0.0 && exponent <= 20.0;
    ConfigError::first(&[(
        !is_fine,
        "zipf_exponent",
        "must be greater than zero, and at most 20",
    )])
}

impl Plan<'_> {
    /// A query that no other request has.
    pub fn query(&self, i: u64, tokens: u64) -> Part {
        Part::Words {
            seed: seed_of(self.seed, "query", i),
            tokens,
        }
    }
}
