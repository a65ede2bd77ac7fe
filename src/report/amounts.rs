//! What is computed of requests before it is drawn.

use super::study::Moments;
use crate::core::CachedShare;
use crate::core::result::Record;
use crate::figure::Span;

/// The phases of each request.
pub fn spans(records: &[Record]) -> Vec<Span> {
    let moments = records
        .iter()
        .filter_map(|record| Some((record.request_id as f64, Moments::of(record)?)));
    let parts = |(row, m): (f64, Moments)| {
        (0..3).map(move |phase| Span {
            row,
            from: m.at[phase],
            to: m.at[phase + 1],
            phase,
        })
    };
    moments.flat_map(parts).collect()
}

/// Amounts spread evenly over their times, as a rate in 120 steps.
pub fn over_time(
    all: impl Iterator<Item = Moments>,
    amount: impl Fn(&Moments) -> (f64, f64, f64),
) -> Vec<(f64, f64)> {
    const STEPS: usize = 120;
    let amounts: Vec<_> = all
        .map(|m| amount(&m))
        .filter(|(from, to, _)| to > from && *from >= 0.0)
        .collect();
    let end = amounts.iter().map(|amount| amount.1).fold(0.0, f64::max);
    if amounts.is_empty() {
        return Vec::new();
    }
    let step = end / STEPS as f64;
    let mut sums = vec![0.0; STEPS];
    for (from, to, amount) in amounts {
        let (first, last) = (
            (from / step) as usize,
            ((to / step) as usize).min(STEPS - 1),
        );
        for (i, sum) in sums.iter_mut().enumerate().take(last + 1).skip(first) {
            let overlap = to.min((i + 1) as f64 * step) - from.max(i as f64 * step);
            *sum += amount * overlap.max(0.0) / (to - from);
        }
    }
    sums.iter()
        .enumerate()
        .map(|(i, sum)| ((i as f64 + 0.5) * step, sum / step))
        .collect()
}

/// The share of the prompt tokens that were cached; `None` if the engine does not report it.
pub fn cached_share(records: &[Record]) -> Option<f64> {
    let mut share = CachedShare::default();
    for record in records.iter().filter(|record| record.is_ok()) {
        share.add(record.cached_tokens, record.prompt_tokens);
    }
    share.value()
}

/// Requests without a complete answer.
pub fn failed(records: &[Record]) -> f64 {
    records.iter().filter(|record| !record.is_ok()).count() as f64
}
