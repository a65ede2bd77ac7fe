//! The moments of arrivals.

use super::super::seed::random;
use super::config::{Arrivals, Spacing, Stage};
use crate::core::Seconds;
use rand_distr::{Distribution, Gamma};

impl Arrivals {
    /// The moments of `count` arrivals, ascending.
    pub fn times(&self, count: u64, seed: u64) -> Vec<f64> {
        if self.rate().is_infinite() && self.stages.is_empty() {
            return vec![self.offset_s.0; count as usize];
        }
        let stages = self.timetable(count);
        let points = self.points(count, seed).into_iter();
        points
            .map(|n| self.offset_s.0 + time_of(&stages, n))
            .collect()
    }

    /// The rates, one after the other, for `count` requests.
    pub(super) fn timetable(&self, count: u64) -> Vec<Stage> {
        if !self.stages.is_empty() {
            return self.stages.clone();
        }
        let (qps, to_qps) = (self.rate(), self.to_qps);
        let mean = f64::midpoint(qps, to_qps.unwrap_or(qps));
        let duration_s = self.duration_s.unwrap_or(Seconds(count as f64 / mean));
        vec![Stage {
            duration_s,
            qps,
            to_qps,
        }]
    }

    /// `count` points between 0 and `count` at a mean distance of one.
    fn points(&self, count: u64, seed: u64) -> Vec<f64> {
        let burst = self.burst.unwrap_or(1).max(1);
        let groups = count.div_ceil(burst);
        let starts: Vec<f64> = match self.shape() {
            None => (0..groups).map(|group| (group * burst) as f64).collect(),
            Some(shape) => random_points(groups, count as f64, shape, seed),
        };
        (0..count).map(|i| starts[(i / burst) as usize]).collect()
    }

    /// The shape of gamma-distributed gaps, where they are random: 1 makes them exponential.
    fn shape(&self) -> Option<f64> {
        match self.arrivals {
            Spacing::Constant => None,
            Spacing::Poisson => Some(1.0),
            Spacing::Gamma => self.burstiness,
        }
    }
}

impl Stage {
    /// How many requests it brings.
    pub(super) fn requests(&self) -> f64 {
        self.duration_s.0 * f64::midpoint(self.qps, self.to_qps.unwrap_or(self.qps))
    }

    /// When the stage has brought `n` requests: the root of `n = qps t + (to_qps - qps) t² / 2
    /// duration`.
    fn time_of(&self, n: f64) -> f64 {
        let slope = (self.to_qps.unwrap_or(self.qps) - self.qps) / self.duration_s.0;
        // This form of the root is exact also where the slope is zero.
        let root = self.qps + (self.qps * self.qps + 2.0 * slope * n).max(0.0).sqrt();
        if n == 0.0 { 0.0 } else { 2.0 * n / root }
    }
}

/// When `stages` one after the other have brought `n` requests.
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

/// `points` between 0 and `span` with random gaps.
///
/// The gaps are scaled to fill the span exactly, with one behind the last: exponential ones then
/// are a Poisson process that is known to bring so many.
fn random_points(points: u64, span: f64, shape: f64, seed: u64) -> Vec<f64> {
    let mut random = random(seed, "arrivals");
    // The shape was checked to be positive.
    let Ok(gamma) = Gamma::new(shape, 1.0) else {
        return vec![0.0; points as usize];
    };
    let gaps: Vec<f64> = (0..=points).map(|_| gamma.sample(&mut random)).collect();
    let all: f64 = gaps.iter().sum();
    // Tiny shapes can draw nothing but zeros.
    let scale = if all > 0.0 { span / all } else { 0.0 };
    let sums = gaps.iter().scan(0.0, |sum, gap| {
        *sum += gap * scale;
        Some(f64::min(*sum, span))
    });
    sums.take(points as usize).collect()
}
