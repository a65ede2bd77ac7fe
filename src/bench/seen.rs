//! What an experiment saw.

use super::{ClientSeen, Distribution, Row};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rows of an experiment, by engine. Clones share them.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The number of the experiment within its test.
    pub expr_id: usize,
    /// Its workload, in words.
    pub title: String,
    /// One for each engine, in their order.
    pub engines: Vec<EngineSeen>,
    /// How well the client did.
    pub client: ClientSeen,
}

/// What one engine did in an experiment.
#[derive(Clone, Debug)]
pub struct EngineSeen {
    /// The engine's name.
    pub name: Arc<str>,
    /// Whether its numbers are made up.
    pub simulated: bool,
    /// Its requests, in their order.
    pub rows: Arc<Vec<Row>>,
}

impl EngineSeen {
    /// One measure over the requests that have it.
    pub fn distribution(&self, measure: impl Fn(&Row) -> Option<f64>) -> Distribution {
        self.rows.iter().filter_map(measure).collect()
    }

    /// Requests without a complete answer.
    pub fn failed(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_ok()).count()
    }

    /// Failed requests over all requests, from 0 to 1; `None` without requests.
    pub fn error_rate(&self) -> Option<f64> {
        (!self.rows.is_empty()).then(|| self.failed() as f64 / self.rows.len() as f64)
    }

    /// The failures, and how often each occurred.
    pub fn failures(&self) -> BTreeMap<&str, usize> {
        let mut failures = BTreeMap::new();
        for error in self.rows.iter().filter_map(|row| row.error.as_deref()) {
            *failures.entry(error).or_default() += 1;
        }
        failures
    }

    /// Prompt tokens that a cache held, over all prompt tokens; `None` where the engine tells
    /// neither.
    pub fn cached_share(&self) -> Option<f64> {
        cached_share(self.rows.iter().map(|row| (row.cached_tokens, row.prompt_tokens)))
    }
}

/// Cached tokens over prompt tokens, of the requests that tell both; `None` where none does.
pub fn cached_share(requests: impl Iterator<Item = (Option<u64>, Option<u64>)>) -> Option<f64> {
    let told = requests.filter_map(|(cached, prompt)| Some((cached?, prompt?)));
    let (cached, all) = told.fold((0, 0), |sum, request| (sum.0 + request.0, sum.1 + request.1));
    (all > 0).then(|| cached as f64 / all as f64)
}
