//! The times of arrivals.

use super::super::seed::random;
use super::config::{Arrivals, Spacing, Stage};
use crate::core::Seconds;
use rand_distr::{Distribution, Gamma};

impl Arrivals {
    /// Returns the times of `count` arrivals, ascending, seconds.
    pub fn times(&self, count: u64, seed: u64) -> Vec<f64> {
        if self.rate().is_infinite() && self.stages.is_empty() {
            return vec![self.offset_s.0; count as usize];
        }
        let stages = self.timetable(count);
        self.points(count, seed)
            .into_iter()
            .map(|n| self.offset_s.0 + time_of(&stages, n))
            .collect()
    }

    /// Returns the consecutive rates of `count` requests.
    pub(super) fn timetable(&self, count: u64) -> Vec<Stage> {
        if !self.stages.is_empty() {
            return self.stages.clone();
        }
        let qps = self.rate();
        let to_qps = self.to_qps;
        let mean = f64::midpoint(qps, to_qps.unwrap_or(qps));
        let duration_s = self.duration_s.unwrap_or(Seconds(count as f64 / mean));
        vec![Stage {
            duration_s,
            qps,
            to_qps,
        }]
    }

    /// Returns `count` points between 0 and `count` at a mean distance of one.
    fn points(&self, count: u64, seed: u64) -> Vec<f64> {
        let burst = self.burst.unwrap_or(1).max(1);
        let groups = count.div_ceil(burst);
        let starts: Vec<f64> = match self.shape() {
            None => (0..groups).map(|group| (group * burst) as f64).collect(),
            Some(shape) => random_points(groups, count as f64, shape, seed),
        };
        (0..count).map(|i| starts[(i / burst) as usize]).collect()
    }

    /// Returns the shape of gamma-distributed gaps, or `None` for constant gaps. With 1 they are
    /// exponential.
    fn shape(&self) -> Option<f64> {
        match self.arrivals {
            Spacing::Constant => None,
            Spacing::Poisson => Some(1.0),
            Spacing::Gamma => self.burstiness,
        }
    }
}

impl Stage {
    /// Returns its number of requests.
    pub(super) fn requests(&self) -> f64 {
        self.duration_s.0 * f64::midpoint(self.qps, self.to_qps.unwrap_or(self.qps))
    }

    /// Returns the time of request `n`, seconds: the root of
    /// `n = qps t + (to_qps - qps) t² / 2 duration`.
    fn time_of(&self, n: f64) -> f64 {
        let slope = (self.to_qps.unwrap_or(self.qps) - self.qps) / self.duration_s.0;
        // This form of the root is also exact for a slope of zero.
        let root = self.qps + (self.qps * self.qps + 2.0 * slope * n).max(0.0).sqrt();
        if n == 0.0 { 0.0 } else { 2.0 * n / root }
    }
}

/// Returns the time of request `n` of consecutive `stages`, seconds.
fn time_of(stages: &[Stage], mut n: f64) -> f64 {
    let mut start_s = 0.0;
    for stage in stages {
        if n < stage.requests() {
            return start_s + stage.time_of(n);
        }
        n -= stage.requests();
        start_s += stage.duration_s.0;
    }
    start_s
}

/// Returns points between 0 and `span` with random gaps.
///
/// The gaps, with one after the last point, are scaled to fill the span exactly: exponential ones
/// then are a Poisson process with this number of points.
fn random_points(points: u64, span: f64, shape: f64, seed: u64) -> Vec<f64> {
    let mut random = random(seed, "arrivals");
    let gamma = Gamma::new(shape, 1.0).expect("the shape is positive");
    let gaps: Vec<f64> = (0..=points).map(|_| gamma.sample(&mut random)).collect();
    let all: f64 = gaps.iter().sum();
    // With a tiny shape all gaps can be zero.
    let scale = if all > 0.0 { span / all } else { 0.0 };
    let mut sum = 0.0;
    gaps.iter()
        .take(points as usize)
        .map(|gap| {
            sum += gap * scale;
            f64::min(sum, span)
        })
        .collect()
}
