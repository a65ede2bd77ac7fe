//! The loads of a check.

use super::TTFT_S;
use serde::{Deserialize, Serialize};

/// One load, short enough that a check takes about a minute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The number of streams that are open at the same time.
    pub streams: usize,
    /// Requests per second.
    pub rate: f64,
    /// The number of requests.
    pub requests: u64,
    /// The tokens of each answer, each a chunk.
    pub tokens: u64,
    /// The time between them, seconds.
    pub itl_s: f64,
    /// True if every core also runs a busy process.
    pub busy: bool,
}

/// Numbers of streams, tokens of each, and seconds between them: at most 20,000 chunks per second,
/// as many as an engine of that size might write.
const STREAMS: [(usize, u64, f64); 5] = [
    (1, 15, 0.01),
    (10, 15, 0.01),
    (100, 30, 0.01),
    (1_000, 30, 0.05),
    (10_000, 16, 0.5),
];
/// Requests per second, 10 tokens each.
const RATES: [f64; 7] = [200.0, 400.0, 800.0, 1_200.0, 1_600.0, 2_400.0, 3_200.0];
/// The maximum number of streams beside busy processes.
const MAX_BUSY_STREAMS: usize = 100;
/// The minimum time of sending, seconds.
const MIN_SENDING_S: f64 = 3.0;

/// Returns the steps with more and more streams.
pub fn stream_steps() -> Vec<Step> {
    let mut steps = Vec::new();
    for (streams, tokens, itl_s) in STREAMS {
        let stream_s = TTFT_S + (tokens - 1) as f64 * itl_s;
        let rate = streams as f64 / stream_s;
        let sending_s = f64::max(MIN_SENDING_S, 1.2 * stream_s);
        steps.push(Step {
            streams,
            rate,
            requests: (rate * sending_s) as u64,
            tokens,
            itl_s,
            busy: false,
        });
    }
    steps
}

/// Returns the steps beside busy processes, with more and more streams.
pub fn busy_steps() -> Vec<Step> {
    let mut steps = stream_steps();
    steps.retain(|step| step.streams <= MAX_BUSY_STREAMS);
    for step in &mut steps {
        step.busy = true;
    }
    steps
}

/// Returns the steps with more and more requests per second.
pub fn rate_steps() -> Vec<Step> {
    RATES
        .iter()
        .map(|rate| Step {
            streams: (rate * 0.14) as usize,
            rate: *rate,
            requests: (rate * 2.0) as u64,
            tokens: 10,
            itl_s: 0.01,
            busy: false,
        })
        .collect()
}

impl Step {
    /// Returns a description of the load.
    pub fn title(&self) -> String {
        let beside = if self.busy {
            ", beside busy processes"
        } else {
            ""
        };
        format!(
            "{} streams, {:.0} requests/s{beside}",
            self.streams, self.rate
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_reach_their_streams_and_are_short() {
        for step in [stream_steps(), rate_steps(), busy_steps()].concat() {
            let stream_s = TTFT_S + (step.tokens - 1) as f64 * step.itl_s;
            let sending_s = step.requests as f64 / step.rate;
            let open = step.rate * stream_s;
            assert!((open - step.streams as f64).abs() <= 1.0, "{step:?}");
            assert!(
                sending_s >= stream_s && sending_s + stream_s < 20.0,
                "{step:?}"
            );
            assert!(open * (1.0 / step.itl_s) <= 50_000.0, "{step:?}");
        }
    }
}
