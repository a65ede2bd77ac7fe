//! Values of figures that are computed from many rows.

use crate::core::{CachedShare, Row};
use crate::figure::Span;

/// The moments of an answered request, seconds from the start of its experiment.
pub(crate) struct RequestTimes {
    planned_s: f64,
    pub(crate) sent_s: f64,
    pub(crate) first_token_s: f64,
    pub(crate) last_token_s: f64,
    /// The number of generated tokens.
    pub(crate) tokens: f64,
}

impl RequestTimes {
    /// Returns the moments of a row; `None` if the request failed. LMCache's Python tests write only
    /// the planned time and durations, from which the moments follow.
    pub(crate) fn from_row(row: &Row) -> Option<Self> {
        if !row.is_ok() {
            return None;
        }
        let sent_s = row.sent_s.unwrap_or(row.timestamp);
        let first_token_s = match row.first_token_s {
            Some(moment) => moment,
            None => sent_s + row.ttft?,
        };
        let last_token_s = match row.last_token_s {
            Some(moment) => moment,
            None => sent_s + row.latency?,
        };
        let tokens = match (row.output_tokens, row.throughput) {
            (Some(tokens), _) => tokens as f64,
            (None, Some(rate)) => rate * (last_token_s - first_token_s),
            (None, None) => 0.0,
        };
        Some(Self {
            planned_s: row.planned_s.unwrap_or(row.timestamp),
            sent_s,
            first_token_s,
            last_token_s,
            tokens,
        })
    }
}

/// An amount that is spread evenly over a time.
pub(crate) struct Amount {
    /// The start of the time, seconds.
    pub(crate) from_s: f64,
    /// The end of the time, seconds.
    pub(crate) to_s: f64,
    /// The amount itself.
    pub(crate) value: f64,
}

/// Returns the phases of each answered request: until sent, until the first token, decode.
pub(crate) fn spans(rows: &[Row]) -> Vec<Span> {
    let mut spans = Vec::new();
    for row in rows {
        let Some(times) = RequestTimes::from_row(row) else {
            continue;
        };
        let moments = [
            times.planned_s,
            times.sent_s,
            times.first_token_s,
            times.last_token_s,
        ];
        for (phase, ends) in moments.windows(2).enumerate() {
            spans.push(Span {
                row: row.request_id as f64,
                from: ends[0],
                to: ends[1],
                phase,
            });
        }
    }
    spans
}

/// Returns the sum of the amounts per second, in 120 steps.
pub(crate) fn rate_over_time(amounts: impl Iterator<Item = Amount>) -> Vec<(f64, f64)> {
    const STEPS: usize = 120;
    let amounts: Vec<Amount> = amounts
        .filter(|amount| amount.to_s > amount.from_s && amount.from_s >= 0.0)
        .collect();
    let end_s = amounts.iter().map(|amount| amount.to_s).fold(0.0, f64::max);
    if amounts.is_empty() {
        return Vec::new();
    }
    let step_s = end_s / STEPS as f64;
    let mut sums = vec![0.0; STEPS];
    for Amount {
        from_s,
        to_s,
        value,
    } in amounts
    {
        let first = (from_s / step_s) as usize;
        let last = ((to_s / step_s) as usize).min(STEPS - 1);
        for (i, sum) in sums.iter_mut().enumerate().take(last + 1).skip(first) {
            let overlap_s = to_s.min((i + 1) as f64 * step_s) - from_s.max(i as f64 * step_s);
            *sum += value * overlap_s.max(0.0) / (to_s - from_s);
        }
    }
    let rates = sums.iter().enumerate();
    rates
        .map(|(i, sum)| ((i as f64 + 0.5) * step_s, sum / step_s))
        .collect()
}

/// The share of the prompt tokens that were cached; `None` if the engine does not report it.
pub(crate) fn cached_share(rows: &[Row]) -> Option<f64> {
    let mut share = CachedShare::default();
    for row in rows.iter().filter(|row| row.is_ok()) {
        share.add(row.cached_tokens, row.prompt_tokens);
    }
    share.value()
}

/// The number of requests without a complete answer.
pub(crate) fn failed(rows: &[Row]) -> usize {
    rows.iter().filter(|row| !row.is_ok()).count()
}
