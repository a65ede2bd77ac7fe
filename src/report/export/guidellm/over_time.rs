//! Rates and concurrency over time, each value weighing as long as it lasted, as guidellm computes them.

use super::super::sample::Weighted;
use super::summary::summary;
use serde_json::Value;

/// Events this close to the first of them are one, seconds.
const TOGETHER_S: f64 = 1e-4;
/// The shortest time that the last event of a rate lasts, seconds.
const SHORTEST_S: f64 = 1e-6;

/// The time from the first send to the last end. All events are within it.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Its start, seconds.
    pub start_s: f64,
    /// Its end, seconds.
    pub end_s: f64,
}

/// Summarizes the number of events per second. Each event is a moment and a weight.
pub fn rates(mut events: Vec<(f64, f64)>, window: Window) -> Value {
    let count: f64 = events.iter().map(|(_, weight)| weight).sum();
    events.extend([(window.start_s, 0.0), (window.end_s, 0.0)]);
    let events = merged(events);
    let moment = |i: usize| events[i].0;
    let last = events.len() - 1;
    let lasts_s = |i: usize| match i {
        _ if i == last => ((moment(last) - moment(last - 1)) / 2.0).max(SHORTEST_S),
        0 => (moment(1) - moment(0)) / 2.0,
        _ => (moment(i + 1) - moment(i - 1)) / 2.0,
    };
    if last == 0 {
        return summary(&Weighted::new([]), 1.0);
    }
    let rates = events
        .iter()
        .enumerate()
        .map(|(i, (_, weight))| (weight / lasts_s(i), lasts_s(i)));
    summary(&Weighted::new(rates), count.round())
}

/// Summarizes the number of intervals that were open at the same time.
pub fn concurrency(intervals: &[(f64, f64)], window: Window) -> Value {
    let mut events: Vec<(f64, f64)> = intervals
        .iter()
        .flat_map(|(start_s, end_s)| [(*start_s, 1.0), (*end_s, -1.0)])
        .collect();
    if events.is_empty() {
        return summary(&Weighted::new([]), 0.0);
    }
    events = merged(events);
    events.insert(0, (window.start_s, 0.0));
    events.push((window.end_s, 0.0));
    let mut open: f64 = 0.0;
    let levels = events.windows(2).map(|pair| {
        open += pair[0].1;
        (open.max(0.0), pair[1].0 - pair[0].0)
    });
    summary(&Weighted::new(levels), intervals.len() as f64)
}

/// Sums the weights of events that are one; their moment is that of the first.
fn merged(mut events: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (at_s, weight) in events {
        match merged.last_mut() {
            Some((first_s, sum)) if at_s <= *first_s + TOGETHER_S => *sum += weight,
            _ => merged.push((at_s, weight)),
        }
    }
    merged
}
