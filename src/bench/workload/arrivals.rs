//! When requests come: any spacing under any rate.

use super::ConfigError;
use super::text::seed_of;
use crate::bench::Seconds;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma};
use serde::{Deserialize, Serialize};

/// When the requests of a workload come, or its sessions where it has some.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arrivals {
    /// How many requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// How long requests come; there are as many as the rate gives, rounded down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<Seconds>,
    /// Requests a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qps: Option<f64>,
    /// Seconds between requests: `1 / qps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_s: Option<Seconds>,
    /// The rate at the end, where it moves evenly from `qps` to this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_qps: Option<f64>,
    /// Rates one after the other, in place of `qps` and `duration_s`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// How requests are spaced under the rate.
    pub arrivals: Spacing,
    /// The shape of gamma-distributed gaps: below 1 burstier than Poisson, above 1 more even.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burstiness: Option<f64>,
    /// So many come at once, at the same mean rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// Closed loop: so many are under way, the next begins when one has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    /// When the first may come.
    pub offset_s: Seconds,
}

/// How requests are spaced under a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// The same gap between all.
    #[default]
    Constant,
    /// Independent of each other: exponential gaps.
    Poisson,
    /// Gamma-distributed gaps of the shape `burstiness`.
    Gamma,
}

/// A rate for some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// How long.
    pub duration_s: Seconds,
    /// Requests a second at its start.
    pub qps: f64,
    /// Requests a second at its end, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_qps: Option<f64>,
}

impl Stage {
    fn requests(&self) -> f64 {
        self.duration_s.0 * f64::midpoint(self.qps, self.to_qps.unwrap_or(self.qps))
    }

    /// When the stage has brought `n` requests: the root of `n = qps t + (to_qps - qps) t² / 2 duration`.
    fn time_of(&self, n: f64) -> f64 {
        let slope = (self.to_qps.unwrap_or(self.qps) - self.qps) / self.duration_s.0;
        // This form of the root is exact also where the slope is zero.
        let root = self.qps + (self.qps * self.qps + 2.0 * slope * n).max(0.0).sqrt();
        if n == 0.0 { 0.0 } else { 2.0 * n / root }
    }
}

impl Arrivals {
    /// Whether a rate is given.
    pub fn is_paced(&self) -> bool {
        self.qps.is_some() || self.gap_s.is_some() || !self.stages.is_empty()
    }

    /// The arrivals, with `gap_s` where neither a rate nor a concurrency is given, if they can be
    /// generated.
    ///
    /// # Errors
    /// Where two options contradict each other or a value makes no workload.
    pub fn checked(self, gap_s: Option<f64>) -> Result<Self, ConfigError> {
        let contradiction = |option, other: &str| {
            ConfigError::new(option, format!("and `{other}` contradict each other: give one of them"))
        };
        for (both, option, other) in [
            (self.qps.is_some() && self.gap_s.is_some(), "qps", "gap_s"),
            (
                self.duration_s.is_some() && self.requests.is_some() && self.to_qps.is_none(),
                "duration_s",
                "requests",
            ),
            (!self.stages.is_empty() && self.requests.is_some(), "requests", "stages"),
            (!self.stages.is_empty() && self.duration_s.is_some(), "duration_s", "stages"),
            (!self.stages.is_empty() && self.qps.is_some(), "qps", "stages"),
            (!self.stages.is_empty() && self.gap_s.is_some(), "gap_s", "stages"),
            (self.concurrency.is_some() && self.qps.is_some(), "qps", "concurrency"),
            (self.concurrency.is_some() && self.gap_s.is_some(), "gap_s", "concurrency"),
            (self.concurrency.is_some() && !self.stages.is_empty(), "stages", "concurrency"),
            (self.concurrency.is_some() && self.offset_s.0 > 0.0, "offset_s", "concurrency"),
        ] {
            if both {
                return Err(contradiction(option, other));
            }
        }
        self.check_values()?;
        if self.is_paced() || self.concurrency.is_some() {
            return Ok(self);
        }
        Ok(Self { gap_s: gap_s.map(Seconds), ..self })
    }

    fn check_values(&self) -> Result<(), ConfigError> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let rate = |stage: &Stage| {
            stage.qps >= 0.0 && stage.to_qps.unwrap_or(0.0) >= 0.0 && positive(stage.requests())
        };
        for (wrong, option, problem) in [
            (self.qps.is_some_and(|qps| !positive(qps)), "qps", "must be greater than zero"),
            (self.to_qps.is_some_and(|qps| qps.is_nan() || qps < 0.0), "to_qps", "must be zero or greater"),
            (self.to_qps.is_some() && self.qps.is_none(), "to_qps", "needs `qps`, the rate at the start"),
            (
                self.to_qps.is_some() && self.duration_s.is_some() == self.requests.is_some(),
                "to_qps",
                "needs either `duration_s` or `requests`",
            ),
            (
                self.burstiness.is_some_and(|shape| !positive(shape)),
                "burstiness",
                "must be greater than zero",
            ),
            (
                (self.arrivals == Spacing::Gamma) != self.burstiness.is_some(),
                "burstiness",
                "goes with `arrivals: \"gamma\"`, and only with it",
            ),
            (self.burst == Some(0), "burst", "must be at least one"),
            (self.concurrency == Some(0), "concurrency", "must be at least one"),
            (
                self.concurrency.is_some() && self.duration_s.is_some(),
                "duration_s",
                "has no meaning with `concurrency`: give `requests`",
            ),
            (
                self.duration_s.is_some() && self.gap_s == Some(Seconds(0.0)),
                "duration_s",
                "gives no number of requests when `gap_s` is 0: give `requests`",
            ),
            (!self.stages.iter().all(rate), "stages", "each need `duration_s` and a rate above zero"),
        ] {
            if wrong {
                return Err(ConfigError::new(option, problem));
            }
        }
        Ok(())
    }

    /// How many come; `default` where nothing says it.
    pub fn count(&self, default: u64) -> u64 {
        match (self.requests, self.duration_s) {
            (Some(requests), _) => requests,
            (None, Some(Seconds(duration_s))) => {
                let stage = Stage { duration_s: Seconds(duration_s), qps: self.rate(), to_qps: self.to_qps };
                whole(stage.requests())
            }
            (None, None) if !self.stages.is_empty() => whole(self.stages.iter().map(Stage::requests).sum()),
            (None, None) => default,
        }
    }

    fn rate(&self) -> f64 {
        let of_gap = || self.gap_s.map_or(f64::INFINITY, |gap_s| 1.0 / gap_s.0);
        self.qps.unwrap_or_else(of_gap)
    }

    /// The moments of `count` arrivals, ascending.
    pub fn times(&self, count: u64, seed: u64) -> Vec<f64> {
        if self.rate().is_infinite() && self.stages.is_empty() {
            return vec![self.offset_s.0; count as usize];
        }
        let stages = self.timetable(count);
        let points = self.points(count, seed).into_iter();
        points.map(|n| self.offset_s.0 + time_of(&stages, n)).collect()
    }

    /// In words, for titles.
    pub fn title(&self) -> String {
        let random = match (self.arrivals, self.burstiness) {
            (Spacing::Constant, _) => String::new(),
            (Spacing::Poisson, _) => ", Poisson".into(),
            (Spacing::Gamma, shape) => format!(", gamma {}", shape.unwrap_or(1.0)),
        };
        let burst = self.burst.map_or_else(String::new, |burst| format!(", {burst} at once"));
        let rate = match (self.concurrency, self.gap_s, self.qps, self.to_qps) {
            (Some(concurrency), ..) => return format!("{concurrency} at a time"),
            (None, Some(Seconds(0.0)), ..) => return "all at once".into(),
            (None, Some(Seconds(gap_s)), ..) => format!("one every {gap_s} s"),
            (None, None, Some(qps), None) => format!("{qps} a second"),
            (None, None, Some(qps), Some(to_qps)) => format!("{qps} to {to_qps} a second"),
            (None, None, None, _) if !self.stages.is_empty() => format!("in {} stages", self.stages.len()),
            (None, None, None, _) => return "at their own times".into(),
        };
        format!("{rate}{random}{burst}")
    }

    /// The rates, one after the other, for `count` requests.
    fn timetable(&self, count: u64) -> Vec<Stage> {
        if !self.stages.is_empty() {
            return self.stages.clone();
        }
        let (qps, to_qps) = (self.rate(), self.to_qps);
        let mean = f64::midpoint(qps, to_qps.unwrap_or(qps));
        let duration_s = self.duration_s.unwrap_or(Seconds(count as f64 / mean));
        vec![Stage { duration_s, qps, to_qps }]
    }

    /// `count` points between 0 and `count` at a mean distance of one.
    ///
    /// Random gaps are scaled to fill the span exactly, with one gap behind the last: exponential
    /// ones then are a Poisson process that is known to bring `count` requests.
    fn points(&self, count: u64, seed: u64) -> Vec<f64> {
        let burst = self.burst.unwrap_or(1).max(1);
        let groups = count.div_ceil(burst);
        let starts: Vec<f64> = match self.arrivals {
            Spacing::Constant => (0..groups).map(|group| (group * burst) as f64).collect(),
            Spacing::Poisson => random_points(groups, count as f64, 1.0, seed),
            Spacing::Gamma => random_points(groups, count as f64, self.burstiness.unwrap_or(1.0), seed),
        };
        (0..count).map(|i| starts[(i / burst) as usize]).collect()
    }
}

fn random_points(points: u64, span: f64, shape: f64, seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed_of(seed, "arrivals", 0));
    // The shape was checked to be positive.
    let Ok(gamma) = Gamma::new(shape, 1.0) else { return vec![0.0; points as usize] };
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

/// Rounded down, but not by an error of the last digit: 7 s at 3/7 a second are 3.
fn whole(requests: f64) -> u64 {
    (requests * (1.0 + 1e-12)) as u64
}

/// A random generator for one purpose of a workload.
pub fn random(seed: u64, purpose: &str) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed_of(seed, purpose, 0))
}

/// The places 0..`n` in random order.
pub fn shuffled(n: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, random.random_range(0..=i));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arrivals(json: &str) -> Result<Arrivals, ConfigError> {
        serde_json::from_str::<Arrivals>(json).expect("known options").checked(Some(8.0))
    }

    fn times(json: &str) -> Vec<f64> {
        let arrivals = arrivals(json).expect(json);
        arrivals.times(arrivals.count(10), 1)
    }

    #[test]
    fn a_constant_rate_is_i_over_qps_plus_offset() {
        assert_eq!(times(r#"{"qps": 0.5, "duration_s": 7, "offset_s": 1}"#), [1.0, 3.0, 5.0]);
        assert_eq!(times(r#"{"gap_s": 2, "requests": 3}"#), [0.0, 2.0, 4.0]);
        assert_eq!(times(r#"{"gap_s": 0, "requests": 2}"#), [0.0, 0.0]);
        assert_eq!(times("{}").len(), 10);
    }

    #[test]
    fn bursts_keep_the_mean_rate() {
        assert_eq!(times(r#"{"qps": 2, "requests": 5, "burst": 2}"#), [0.0, 0.0, 1.0, 1.0, 2.0]);
    }

    #[test]
    fn a_ramp_brings_more_and_more() {
        let ramp = times(
            r#"{"qps": 0, "to_qps": 2, "duration_s": 4}"#.replace("\"qps\": 0", "\"qps\": 1e-9").as_str(),
        );
        let rounded: Vec<f64> = ramp.iter().map(|t| (t * 100.0).round() / 100.0).collect();
        assert_eq!(rounded, [0.0, 2.0, 2.83, 3.46], "√(4n)");
    }

    #[test]
    fn stages_follow_each_other() {
        let json = r#"{"stages": [{"duration_s": 2, "qps": 1}, {"duration_s": 1, "qps": 4}]}"#;
        assert_eq!(times(json), [0.0, 1.0, 2.0, 2.25, 2.5, 2.75]);
    }

    #[test]
    fn contradictions_are_named() {
        for (json, message) in [
            (r#"{"qps": 1, "gap_s": 1}"#, "`qps` and `gap_s` contradict each other: give one of them"),
            (r#"{"qps": 0}"#, "`qps` must be greater than zero"),
            (
                r#"{"gap_s": 0, "duration_s": 3}"#,
                "`duration_s` gives no number of requests when `gap_s` is 0: give `requests`",
            ),
            (r#"{"arrivals": "gamma"}"#, "`burstiness` goes with `arrivals: \"gamma\"`, and only with it"),
            (r#"{"to_qps": 3, "requests": 3}"#, "`to_qps` needs `qps`, the rate at the start"),
            (r#"{"concurrency": 0}"#, "`concurrency` must be at least one"),
            (
                r#"{"stages": [{"duration_s": 0, "qps": 1}]}"#,
                "`stages` each need `duration_s` and a rate above zero",
            ),
        ] {
            assert_eq!(arrivals(json).expect_err(json).to_string(), message);
        }
    }

    fn any_arrivals() -> impl Strategy<Value = Arrivals> {
        let spacing = prop_oneof![
            Just((Spacing::Constant, None)),
            Just((Spacing::Poisson, None)),
            (0.1f64..10.0).prop_map(|shape| (Spacing::Gamma, Some(shape))),
        ];
        (
            0.1f64..20.0,
            0.0f64..30.0,
            spacing,
            prop::option::of(1u64..5),
            prop::option::of(0.0f64..20.0),
            0f64..5.0,
        )
            .prop_map(|(qps, duration_s, (arrivals, burstiness), burst, to_qps, offset_s)| {
                Arrivals {
                    qps: Some(qps),
                    duration_s: Some(Seconds(duration_s)),
                    arrivals,
                    burstiness,
                    burst,
                    to_qps,
                    offset_s: Seconds(offset_s),
                    ..Arrivals::default()
                }
            })
    }

    proptest! {
        #[test]
        fn sorted_inside_the_duration_and_as_many_as_the_rate_gives(arrivals in any_arrivals(), seed: u64) {
            let arrivals = arrivals.checked(Some(8.0)).expect("a config");
            let times = arrivals.times(arrivals.count(10), seed);
            let (duration_s, qps) = (arrivals.duration_s.unwrap_or_default().0, arrivals.qps.unwrap_or_default());
            let rate = f64::midpoint(qps, arrivals.to_qps.unwrap_or(qps));
            prop_assert_eq!(times.len() as u64, whole(duration_s * rate));
            prop_assert!(times.is_sorted());
            let span = arrivals.offset_s.0..=arrivals.offset_s.0 + duration_s + 1e-9;
            prop_assert!(times.iter().all(|time| span.contains(time)), "{:?} in {:?}", times, span);
            prop_assert_eq!(&times, &arrivals.times(arrivals.count(10), seed));
            if arrivals.arrivals != Spacing::Constant && !times.is_empty() {
                prop_assert_ne!(times, arrivals.times(arrivals.count(10), seed.wrapping_add(1)));
            }
        }
    }

    /// The gaps of a Poisson process vary as much as their mean is long; gamma ones of shape 4
    /// half as much.
    #[test]
    fn random_gaps_vary_as_they_should() {
        for (spacing, expected) in
            [(r#""arrivals": "poisson""#, 1.0), (r#""arrivals": "gamma", "burstiness": 4"#, 0.5)]
        {
            let times = times(&format!(r#"{{"qps": 10, "requests": 20000, {spacing}}}"#));
            let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            assert!(
                (variance.sqrt() / mean - expected).abs() < 0.03,
                "{spacing}: {}",
                variance.sqrt() / mean
            );
            assert!((mean - 0.1).abs() < 0.001);
        }
    }
}
