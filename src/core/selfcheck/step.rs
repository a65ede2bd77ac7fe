//! The loads of a check.

use super::TTFT_S;
use serde::{Deserialize, Serialize};

/// One load. Short enough that a check takes about a minute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Streams that are open at the same time.
    pub streams: usize,
    /// Requests a second.
    pub rate: f64,
    /// All requests.
    pub requests: u64,
    /// Tokens of each answer, each a chunk.
    pub tokens: u64,
    /// Seconds between them.
    pub itl_s: f64,
    /// Whether every core has a process beside it that never rests.
    pub busy: bool,
}

/// Streams, tokens of each, seconds between them: at most 20,000 chunks a second, as many as an
/// engine of that size might write.
const STREAMS: [(usize, u64, f64); 5] = [
    (1, 15, 0.01),
    (10, 15, 0.01),
    (100, 30, 0.01),
    (1_000, 30, 0.05),
    (10_000, 16, 0.5),
];
/// Requests a second, 10 tokens each.
const RATES: [f64; 7] = [200.0, 400.0, 800.0, 1_200.0, 1_600.0, 2_400.0, 3_200.0];
/// Beside a busy process so many streams tell enough.
const BUSY_STREAMS: usize = 100;
/// The shortest that requests are sent, seconds.
const SENDING_S: f64 = 3.0;

/// More and more streams.
pub fn streams(busy: bool) -> Vec<Step> {
    let all = STREAMS
        .iter()
        .filter(|(streams, ..)| !busy || *streams <= BUSY_STREAMS);
    all.map(|(streams, tokens, itl_s)| {
        let stream_s = TTFT_S + (*tokens - 1) as f64 * itl_s;
        let rate = *streams as f64 / stream_s;
        Step::new(
            *streams,
            rate,
            *tokens,
            *itl_s,
            f64::max(SENDING_S, 1.2 * stream_s),
            busy,
        )
    })
    .collect()
}

/// More and more requests a second.
pub fn rates() -> Vec<Step> {
    let step = |rate: &f64| Step::new((rate * 0.14) as usize, *rate, 10, 0.01, 2.0, false);
    RATES.iter().map(step).collect()
}

impl Step {
    fn new(streams: usize, rate: f64, tokens: u64, itl_s: f64, sending_s: f64, busy: bool) -> Self {
        Self {
            streams,
            rate,
            requests: (rate * sending_s) as u64,
            tokens,
            itl_s,
            busy,
        }
    }

    /// What it is, in words.
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
    fn steps_reach_their_streams_and_stay_short() {
        for step in streams(false)
            .into_iter()
            .chain(rates())
            .chain(streams(true))
        {
            let stream_s = TTFT_S + (step.tokens - 1) as f64 * step.itl_s;
            let (sending_s, open) = (step.requests as f64 / step.rate, step.rate * stream_s);
            assert!((open - step.streams as f64).abs() <= 1.0, "{step:?}");
            assert!(
                sending_s >= stream_s && sending_s + stream_s < 20.0,
                "{step:?}"
            );
            assert!(open * (1.0 / step.itl_s) <= 50_000.0, "{step:?}");
        }
    }
}
