//! The counters of the engine.

use super::histogram::{self, BucketHistogram};
use crate::sim::scheduler::{EngineLoad, PromptSources};
use crate::sim::text::FinishReason;

/// The maximum of the lateness, 18 minutes. Longer ones are counted as this.
const MAX_LATENESS_NS: u64 = 1 << 40;

/// Everything that the engine counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) load: EngineLoad,
    pub(crate) gpu_tokens: u64,
    pub(crate) tier_tokens: u64,
    pub(crate) computed_tokens: u64,
    pub(crate) generated_tokens: u64,
    pub(crate) stopped: u64,
    pub(crate) reached_length: u64,
    pub(crate) aborted: u64,
    /// Chunks that were not written when they were due, as their reader is slow.
    pub(crate) blocked_writes: u64,
    pub(crate) first_token_s: BucketHistogram,
    pub(crate) inter_token_s: BucketHistogram,
    pub(crate) request_s: BucketHistogram,
    /// The time from the moment a chunk was due until the kernel had it.
    pub(crate) lateness_ns: hdrhistogram::Histogram<u64>,
    pub(crate) lateness_sum_ns: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            load: EngineLoad::default(),
            gpu_tokens: 0,
            tier_tokens: 0,
            computed_tokens: 0,
            generated_tokens: 0,
            stopped: 0,
            reached_length: 0,
            aborted: 0,
            blocked_writes: 0,
            first_token_s: BucketHistogram::new(&histogram::FIRST_TOKEN_S),
            inter_token_s: BucketHistogram::new(&histogram::INTER_TOKEN_S),
            request_s: BucketHistogram::new(&histogram::REQUEST_S),
            lateness_ns: hdrhistogram::Histogram::new_with_max(MAX_LATENESS_NS, 2)
                .expect("the bounds are valid"),
            lateness_sum_ns: 0,
        }
    }
}

impl Metrics {
    /// Counts the first token of a request, `ttft_s` after its arrival.
    pub(crate) fn count_first_token(&mut self, sources: PromptSources, ttft_s: f64) {
        self.gpu_tokens += u64::from(sources.gpu_tokens);
        self.tier_tokens += u64::from(sources.tier_tokens);
        self.computed_tokens += u64::from(sources.computed_tokens);
        self.generated_tokens += 1;
        self.first_token_s.record(ttft_s);
    }

    /// Counts a further token, `gap_s` after the previous one.
    pub(crate) fn count_next_token(&mut self, gap_s: f64) {
        self.generated_tokens += 1;
        self.inter_token_s.record(gap_s);
    }

    /// Counts a request that ended `latency_s` after its arrival.
    pub(crate) fn count_finished(&mut self, finish: FinishReason, latency_s: f64) {
        match finish {
            FinishReason::Stop => self.stopped += 1,
            FinishReason::Length => self.reached_length += 1,
        }
        self.request_s.record(latency_s);
    }

    /// Counts a chunk that the kernel had `late_ns` after it was due.
    pub(crate) fn count_written(&mut self, late_ns: u64) {
        self.lateness_ns.saturating_record(late_ns);
        self.lateness_sum_ns += late_ns;
    }
}
