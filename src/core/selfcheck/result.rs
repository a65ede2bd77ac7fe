//! The results of a check.

use super::ground_truth::{AnswerStamps, GroundTruth};
use super::step::Step;
use crate::core::result::client_health::Spread;
use crate::core::{EngineResult, ExperimentResult, MAX_SEND_LAG_S};
use crate::driver::http::Exchange;
use crate::driver::machine;
use serde::Serialize;
use std::collections::HashMap;

/// The results of all steps.
#[derive(Debug, Serialize)]
pub struct SelfCheck {
    /// The machine's host name.
    pub host: String,
    /// The number of its cores.
    pub cores: usize,
    /// The time of the check, in seconds since 1970.
    pub at_unix_s: u64,
    /// The result of each step.
    #[serde(rename = "found")]
    pub steps: Vec<StepResult>,
    /// The steps that were skipped, with the reasons.
    #[serde(rename = "left_out")]
    pub skipped: Vec<String>,
    /// The peak memory of lmrun, MiB, if the system tells it.
    pub memory_mib: Option<u64>,
}

/// The result of one step. Times are in seconds.
#[derive(Debug, Serialize)]
pub struct StepResult {
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// The number of failed requests.
    pub failed: usize,
    /// The time from a first token's write to its stamp: the error of TTFT.
    pub ttft_error_s: Spread,
    /// The error of gaps between tokens.
    pub itl_error_s: Spread,
    /// The time from the send until the simulator had read the request.
    pub on_its_way_s: Spread,
    /// The delay of sends.
    pub send_lag_s: Spread,
    /// The time that bytes waited in the socket.
    pub read_lag_s: Spread,
    /// The delay of the simulator's writes. It is not part of the client's errors.
    pub server_late_s: Spread,
    /// The share of a core that the busiest sending thread used in its busiest second.
    pub cpu_share: Option<f64>,
    /// The reason why the load was not sustained.
    pub trouble: Option<String>,
}

/// The conclusion of a check.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Conclusion {
    /// The error of a single TTFT or gap between tokens, seconds: the largest [`Spread::high`] of
    /// the sustained loads.
    pub error_s: f64,
    /// The error beside busy processes, seconds, if it was measured.
    pub busy_error_s: Option<f64>,
    /// The highest sustained rate, requests per second.
    pub rate: f64,
    /// The highest sustained number of streams.
    pub streams: usize,
}

impl SelfCheck {
    /// Creates a check of this machine without results.
    pub fn of_this_machine() -> Self {
        Self {
            host: machine::host(),
            cores: machine::Machine::this().cores,
            at_unix_s: machine::unix_s(),
            steps: Vec::new(),
            skipped: Vec::new(),
            memory_mib: None,
        }
    }

    /// Returns the conclusion, or `None` if no load was sustained.
    pub fn conclusion(&self) -> Option<Conclusion> {
        let sustained = self.steps.iter().filter(|result| result.trouble.is_none());
        let (busy, idle): (Vec<_>, Vec<_>) = sustained.partition(|result| result.step.busy);
        Some(Conclusion {
            error_s: max_error_s(&idle)?,
            busy_error_s: max_error_s(&busy),
            rate: idle
                .iter()
                .map(|result| result.step.rate)
                .fold(0.0, f64::max),
            streams: idle.iter().map(|result| result.step.streams).max()?,
        })
    }
}

fn max_error_s(results: &[&StepResult]) -> Option<f64> {
    results
        .iter()
        .filter_map(|result| result.error_s())
        .reduce(f64::max)
}

/// The answers of a step, as the client and the simulator stamped them.
pub(super) struct StampedAnswers<'a> {
    pairs: Vec<(&'a AnswerStamps, &'a Exchange)>,
    /// The number of answers without stamps of the simulator.
    unpaired: usize,
}

impl<'a> StampedAnswers<'a> {
    /// Pairs each exchange with its stamps in `truth`.
    pub(super) fn new(truth: &'a GroundTruth, exchanges: &'a HashMap<String, Exchange>) -> Self {
        let mut pairs = Vec::new();
        for (id, exchange) in exchanges {
            if let Some(stamps) = truth.find(id) {
                pairs.push((stamps, exchange));
            }
        }
        Self {
            unpaired: exchanges.len() - pairs.len(),
            pairs,
        }
    }
}

impl StepResult {
    /// Compares the stamps of client and simulator.
    pub(super) fn new(step: Step, seen: &ExperimentResult, answers: &StampedAnswers<'_>) -> Self {
        let pairs = || answers.pairs.iter();
        let mut result = Self {
            step,
            failed: seen.engines.iter().map(EngineResult::failed).sum(),
            ttft_error_s: Spread::of(pairs().filter_map(|(truth, seen)| truth.first_error_s(seen))),
            itl_error_s: Spread::of(pairs().flat_map(|(truth, seen)| truth.gap_errors_s(seen))),
            on_its_way_s: Spread::of(pairs().filter_map(|(truth, seen)| truth.on_its_way_s(seen))),
            send_lag_s: seen.client.send_lag_s,
            read_lag_s: seen.client.read_lag_s,
            server_late_s: Spread::of(pairs().flat_map(|(truth, _)| truth.late_s())),
            cpu_share: seen.client.cpu_share,
            trouble: seen
                .validity
                .reasons
                .first()
                .map(|reason| reason.text.clone()),
        };
        let server_late_s = result.server_late_s.high();
        if result.failed > 0 || answers.unpaired > 0 {
            result.trouble = Some(format!(
                "{} requests failed, {} without stamps",
                result.failed, answers.unpaired
            ));
        } else if result.trouble.is_none()
            && server_late_s.is_some_and(|late_s| late_s > MAX_SEND_LAG_S)
        {
            result.trouble = Some("the simulator could not keep up".into());
        }
        result
    }

    /// Returns the error of a TTFT or of a gap between tokens, seconds.
    fn error_s(&self) -> Option<f64> {
        self.ttft_error_s
            .high()
            .into_iter()
            .chain(self.itl_error_s.high())
            .reduce(f64::max)
    }
}
