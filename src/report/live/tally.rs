//! The totals so far of the requests to one engine.

use crate::core::{CachedShare, Distribution, Row};

/// The requests to one engine that have ended.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests with an answer.
    pub ok: usize,
    /// Requests without.
    pub failed: usize,
    /// Tokens of all answers.
    pub output_tokens: u64,
    /// Time to first token.
    pub ttft: Measure,
    /// Latency.
    pub latency: Measure,
    /// The delay of the client.
    pub send_lag: Measure,
    /// The share of all prompt tokens that were cached.
    pub cached_share: CachedShare,
}

impl Tally {
    /// Takes in a request.
    pub fn take(&mut self, row: &Row) {
        *(if row.is_ok() {
            &mut self.ok
        } else {
            &mut self.failed
        }) += 1;
        self.output_tokens += row.output_tokens.unwrap_or_default();
        self.ttft.fresh.extend(row.ttft);
        self.latency.fresh.extend(row.latency);
        self.send_lag.fresh.extend(row.send_lag_s);
        if row.is_ok() {
            self.cached_share.add(row.cached_tokens, row.prompt_tokens);
        }
    }

    /// Requests that have ended.
    pub fn ended(&self) -> usize {
        self.ok + self.failed
    }
}

/// A measure that grows; what is new is sorted in only when somebody looks.
#[derive(Debug, Default)]
pub struct Measure {
    fresh: Vec<f64>,
    seen: Distribution,
}

impl Measure {
    /// The values so far.
    pub fn values(&mut self) -> &Distribution {
        if !self.fresh.is_empty() {
            self.seen.extend(self.fresh.drain(..));
        }
        &self.seen
    }
}
