//! The options that say when requests come, and which of them go together.

use super::super::ConfigError;
use crate::core::{MAX_SECONDS, Seconds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The arrival times of the requests of a workload, or of its sessions if it has some.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Arrivals {
    /// Number of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Time in which requests are sent, in seconds, instead of `requests`. Their number follows
    /// from the rate, rounded down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<Seconds>,
    /// Request rate, in requests per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qps: Option<f64>,
    /// Time between requests, in seconds, instead of `qps`. 0 sends all requests at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_s: Option<Seconds>,
    /// Request rate at the end: the rate changes linearly from `qps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_qps: Option<f64>,
    /// Consecutive rates, instead of `qps`: `[#{ duration_s: 60, qps: 1, to_qps: 4 }, …]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Distribution of the gaps: "constant", "poisson", or "gamma" with the shape `burstiness`.
    pub arrivals: Spacing,
    /// Shape of "gamma": below 1 burstier than Poisson, above 1 more even.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burstiness: Option<f64>,
    /// Number of requests that are sent at the same time, at the same mean rate. By default, 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// Maximum number of requests in flight: a closed loop instead of a request rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    /// Earliest time of the first request, in seconds.
    pub offset_s: Seconds,
}

/// The spacing of requests at a given rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Duration, in seconds.
    pub duration_s: Seconds,
    /// Request rate at the start, in requests per second.
    pub qps: f64,
    /// Request rate at the end, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_qps: Option<f64>,
}

/// The arrivals that a generator fixes itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct GeneratorArrivals {
    /// Seconds between them where no rate is given; `None` where its requests have their own times.
    pub gap_s: Option<f64>,
    /// The option that fixes the number of arrivals, and the number.
    pub count: Option<(&'static str, u64)>,
}

impl Arrivals {
    /// Returns true if a rate is given.
    pub fn is_paced(&self) -> bool {
        self.qps.is_some() || self.gap_s.is_some() || !self.stages.is_empty()
    }

    /// The arrivals, with the generator's `own` gap where neither a rate nor a concurrency is
    /// given, if they can be generated.
    ///
    /// # Errors
    /// Where two options contradict each other, or one makes no workload or has no effect.
    pub fn checked(self, own: GeneratorArrivals) -> Result<Self, ConfigError> {
        self.check_contradictions()?;
        self.check_values()?;
        self.check_count(own.count)?;
        self.check_effects(own.gap_s)?;
        if self.is_paced() || self.concurrency.is_some() {
            return Ok(self);
        }
        Ok(Self {
            gap_s: own.gap_s.map(Seconds),
            ..self
        })
    }

    fn check_contradictions(&self) -> Result<(), ConfigError> {
        let (staged, closed) = (!self.stages.is_empty(), self.concurrency.is_some());
        let (requests, duration_s) = (self.requests.is_some(), self.duration_s.is_some());
        let both = [
            (self.qps.is_some() && self.gap_s.is_some(), "qps", "gap_s"),
            (
                duration_s && requests && self.to_qps.is_none(),
                "duration_s",
                "requests",
            ),
            (staged && requests, "requests", "stages"),
            (staged && duration_s, "duration_s", "stages"),
            (staged && self.qps.is_some(), "qps", "stages"),
            (staged && self.gap_s.is_some(), "gap_s", "stages"),
            (closed && self.qps.is_some(), "qps", "concurrency"),
            (closed && self.gap_s.is_some(), "gap_s", "concurrency"),
            (closed && staged, "stages", "concurrency"),
            (closed && self.offset_s.0 > 0.0, "offset_s", "concurrency"),
        ];
        match both.into_iter().find(|(both, ..)| *both) {
            None => Ok(()),
            Some((_, option, other)) => {
                let problem = format!("and `{other}` contradict each other: give one of them");
                Err(ConfigError::new(option, problem))
            }
        }
    }

    fn check_values(&self) -> Result<(), ConfigError> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let rate = |stage: &Stage| {
            stage.qps >= 0.0 && stage.to_qps.unwrap_or(0.0) >= 0.0 && positive(stage.requests())
        };
        ConfigError::first(&[
            (
                self.qps.is_some_and(|qps| !positive(qps)),
                "qps",
                "must be greater than zero",
            ),
            (
                self.to_qps.is_some_and(|qps| qps.is_nan() || qps < 0.0),
                "to_qps",
                "must be zero or greater",
            ),
            (
                self.to_qps.is_some() && self.qps.is_none(),
                "to_qps",
                "needs `qps`, the rate at the start",
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
            (
                self.concurrency == Some(0),
                "concurrency",
                "must be at least one",
            ),
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
            (
                !self.stages.iter().all(rate),
                "stages",
                "each need `duration_s` and a rate above zero",
            ),
        ])
    }

    /// That how many there are is said once, and that stages last until the last of them.
    fn check_count(&self, own: Option<(&'static str, u64)>) -> Result<(), ConfigError> {
        let (requests, duration_s) = (self.requests.is_some(), self.duration_s.is_some());
        let Some((words, count)) = own else {
            let open = self.to_qps.is_some() && requests == duration_s;
            return ConfigError::first(&[(
                open,
                "to_qps",
                "needs either `duration_s` or `requests`",
            )]);
        };
        let given = format!("is given here by {words}");
        ConfigError::first(&[
            (requests, "requests", &given),
            (duration_s, "duration_s", &given),
        ])?;
        let brought = self.count(count);
        let few = format!("bring {brought}, and {count} come by {words}: let them last longer");
        ConfigError::first(&[(brought < count, "stages", &few)])
    }

    /// That nothing is given that would be ignored.
    fn check_effects(&self, own_gap_s: Option<f64>) -> Result<(), ConfigError> {
        let spacing = [
            (self.arrivals != Spacing::Constant, "arrivals"),
            (self.burst.is_some(), "burst"),
            (self.offset_s.0 > 0.0, "offset_s"),
        ];
        let own_times = own_gap_s.is_none() && !self.is_paced();
        let problem = match self.concurrency {
            Some(_) => "has no meaning with `concurrency`: the end of one request begins the next",
            None if own_times => {
                "needs a rate (`qps`, `gap_s` or `stages`): the requests have their own times"
            }
            None => return Ok(()),
        };
        ConfigError::first(&spacing.map(|(given, option)| (given, option, problem)))
    }

    /// Refuses a schedule of `count` arrivals that would last for longer than [`MAX_SECONDS`].
    ///
    /// # Errors
    /// Fails if it would; the error names the option that sets the rate.
    pub fn check_length(&self, count: u64) -> Result<(), ConfigError> {
        let length_s: f64 = self
            .timetable(count)
            .iter()
            .map(|stage| stage.duration_s.0)
            .sum();
        let option = match (self.qps, self.gap_s) {
            (Some(_), _) => "qps",
            (None, Some(_)) => "gap_s",
            (None, None) => "stages",
        };
        let problem = format!("would make the requests last for over {MAX_SECONDS} seconds");
        ConfigError::first(&[(self.offset_s.0 + length_s > MAX_SECONDS, option, &problem)])
    }

    /// Returns the number of arrivals; `default` if none is given.
    pub fn count(&self, default: u64) -> u64 {
        match (self.requests, self.duration_s) {
            (Some(requests), _) => requests,
            (None, Some(Seconds(duration_s))) => {
                let stage = Stage {
                    duration_s: Seconds(duration_s),
                    qps: self.rate(),
                    to_qps: self.to_qps,
                };
                whole(stage.requests())
            }
            (None, None) if !self.stages.is_empty() => {
                whole(self.stages.iter().map(Stage::requests).sum())
            }
            (None, None) => default,
        }
    }

    /// Requests a second at the start; without end where all come at once.
    pub(super) fn rate(&self) -> f64 {
        let of_gap = || self.gap_s.map_or(f64::INFINITY, |gap_s| 1.0 / gap_s.0);
        self.qps.unwrap_or_else(of_gap)
    }

    /// In words, for titles.
    pub fn title(&self) -> String {
        let random = match (self.arrivals, self.burstiness) {
            (_, Some(shape)) => format!(", gamma {shape}"),
            (Spacing::Poisson, None) => ", Poisson".into(),
            (Spacing::Constant | Spacing::Gamma, None) => String::new(),
        };
        let burst = self
            .burst
            .map_or_else(String::new, |burst| format!(", {burst} at once"));
        let rate = match (self.concurrency, self.gap_s, self.qps, self.to_qps) {
            (Some(concurrency), ..) => return format!("{concurrency} at a time"),
            (None, Some(Seconds(0.0)), ..) => return "all at once".into(),
            (None, Some(Seconds(gap_s)), ..) => format!("one every {gap_s} s"),
            (None, None, Some(qps), None) => format!("{qps} a second"),
            (None, None, Some(qps), Some(to_qps)) => format!("{qps} to {to_qps} a second"),
            (None, None, None, _) if !self.stages.is_empty() => {
                format!("in {} stages", self.stages.len())
            }
            (None, None, None, _) => return "at their own times".into(),
        };
        format!("{rate}{random}{burst}")
    }
}

/// Rounded down, but not by an error of the last digit: 7 s at 3/7 a second are 3.
fn whole(requests: f64) -> u64 {
    (requests * (1.0 + 1e-12)) as u64
}
