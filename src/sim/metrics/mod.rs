//! What the engine counts, and how `/metrics` says it: vLLM's names, plus the simulator's own.

mod exposition;
mod histogram;
mod lateness;

use histogram::Histogram;
use lateness::Lateness;

pub use exposition::Identity;

use super::{
    scheduler::{Load, Sources},
    words::FinishReason,
};

/// Everything the engine counts.
#[derive(Debug)]
pub struct Metrics {
    load: Load,
    gpu_tokens: u64,
    tier_tokens: u64,
    computed_tokens: u64,
    pool_queries: u64,
    tier_queries: u64,
    generated_tokens: u64,
    stopped: u64,
    reached_length: u64,
    aborted: u64,
    blocked_writes: u64,
    first_token_s: Histogram,
    inter_token_s: Histogram,
    request_s: Histogram,
    lateness: Lateness,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            load: Load::default(),
            gpu_tokens: 0,
            tier_tokens: 0,
            computed_tokens: 0,
            pool_queries: 0,
            tier_queries: 0,
            generated_tokens: 0,
            stopped: 0,
            reached_length: 0,
            aborted: 0,
            blocked_writes: 0,
            first_token_s: Histogram::new(&histogram::FIRST_TOKEN_S),
            inter_token_s: Histogram::new(&histogram::INTER_TOKEN_S),
            request_s: Histogram::new(&histogram::REQUEST_S),
            lateness: Lateness::default(),
        }
    }
}

impl Metrics {
    /// How loaded the engine is now.
    pub fn set_load(&mut self, load: Load) {
        self.load = load;
    }

    /// A request's first token came `ttft_s` after it arrived.
    pub fn first_token(&mut self, sources: Sources, ttft_s: f64) {
        self.gpu_tokens += u64::from(sources.gpu_tokens);
        self.tier_tokens += u64::from(sources.tier_tokens);
        self.computed_tokens += u64::from(sources.computed_tokens);
        self.pool_queries += u64::from(sources.prompt_tokens());
        self.tier_queries += u64::from(sources.prompt_tokens() - sources.gpu_tokens);
        self.generated_tokens += 1;
        self.first_token_s.record(ttft_s);
    }

    /// A further token came `gap_s` after the one before it.
    pub fn next_token(&mut self, gap_s: f64) {
        self.generated_tokens += 1;
        self.inter_token_s.record(gap_s);
    }

    /// A request ended `latency_s` after it arrived.
    pub fn finished(&mut self, finish: FinishReason, latency_s: f64) {
        match finish {
            FinishReason::Stop => self.stopped += 1,
            FinishReason::Length => self.reached_length += 1,
        }
        self.request_s.record(latency_s);
    }

    /// A request went away before its end.
    pub fn aborted(&mut self) {
        self.aborted += 1;
    }

    /// A chunk was with the kernel this long after it was due.
    pub fn written(&mut self, late_ns: u64) {
        self.lateness.record(late_ns);
    }

    /// A chunk could not be written when it was due, because its reader is slow.
    pub fn blocked(&mut self) {
        self.blocked_writes += 1;
    }
}
