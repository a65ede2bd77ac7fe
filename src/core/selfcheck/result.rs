//! What a check found.

use super::step::Step;
use super::truth::Truth;
use crate::core::result::client_health::Spread;
use crate::core::{EngineResult, ExperimentResult, MAX_SEND_LAG_S};
use crate::driver::http::Exchange;
use crate::driver::machine;
use serde::Serialize;
use std::collections::HashMap;

/// All of it.
#[derive(Debug, Serialize)]
pub struct SelfCheck {
    /// The machine's name.
    pub host: String,
    /// Its cores.
    pub cores: usize,
    /// When, in seconds since 1970.
    pub at_unix_s: u64,
    /// One for each step that was taken.
    pub found: Vec<Found>,
    /// Steps that were not, and why.
    pub left_out: Vec<String>,
    /// The most memory that lmrun had, MiB, where the system tells.
    pub memory_mib: Option<u64>,
}

/// What one step found. Seconds.
#[derive(Debug, Serialize)]
pub struct Found {
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// Requests without a whole answer.
    pub failed: usize,
    /// How much later than its write a first token was stamped: the error of TTFT.
    pub ttft_error_s: Spread,
    /// How far gaps between tokens were from the true ones.
    pub itl_error_s: Spread,
    /// From the send to the moment in which the simulator had read the request.
    pub on_its_way_s: Spread,
    /// How late requests were sent.
    pub send_lag_s: Spread,
    /// How long bytes lay in the socket.
    pub read_lag_s: Spread,
    /// How late the simulator wrote; no part of any error.
    pub server_late_s: Spread,
    /// The share of a core that the busiest sending thread used in its busiest second.
    pub cpu_share: Option<f64>,
    /// Why the load was not held, if it was not.
    pub trouble: Option<String>,
}

/// What it all comes to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Conclusion {
    /// The error of a single TTFT or gap between tokens, seconds: the largest [`Spread::high`] of any load
    /// that was held.
    pub error_s: f64,
    /// The same beside busy processes, where it was tried.
    pub busy_error_s: Option<f64>,
    /// The most requests a second that were held.
    pub rate: f64,
    /// The most streams at the same time that were held.
    pub streams: usize,
}

impl SelfCheck {
    /// Nothing yet.
    pub fn of_this_machine() -> Self {
        Self {
            host: machine::host(),
            cores: machine::Machine::this().cores,
            at_unix_s: machine::unix_s(),
            found: Vec::new(),
            left_out: Vec::new(),
            memory_mib: None,
        }
    }

    /// What it comes to; `None` where no load was held.
    pub fn conclusion(&self) -> Option<Conclusion> {
        let held = |busy| {
            self.found
                .iter()
                .filter(move |found| found.step.busy == busy && found.trouble.is_none())
        };
        let error_s = |busy| held(busy).filter_map(Found::error_s).reduce(f64::max);
        Some(Conclusion {
            error_s: error_s(false)?,
            busy_error_s: error_s(true),
            rate: held(false).map(|found| found.step.rate).fold(0.0, f64::max),
            streams: held(false)
                .map(|found| found.step.streams)
                .max()
                .unwrap_or(0),
        })
    }
}

impl Found {
    /// Compares what was `seen`, request by request, with the `truth`.
    pub fn of(
        step: Step,
        seen: &ExperimentResult,
        truth: &Truth,
        exchanges: &HashMap<String, Exchange>,
    ) -> Self {
        let client = &seen.client;
        let pairs = || {
            exchanges
                .iter()
                .filter_map(|(id, seen)| Some((truth.of(id)?, seen)))
        };
        let mut found = Self {
            step,
            failed: seen.engines.iter().map(EngineResult::failed).sum(),
            ttft_error_s: Spread::of(pairs().filter_map(|(truth, seen)| truth.first_error_s(seen))),
            itl_error_s: Spread::of(pairs().flat_map(|(truth, seen)| truth.gap_errors_s(seen))),
            on_its_way_s: Spread::of(pairs().filter_map(|(truth, seen)| truth.on_its_way_s(seen))),
            send_lag_s: client.send_lag_s,
            read_lag_s: client.read_lag_s,
            server_late_s: Spread::of(pairs().flat_map(|(truth, _)| truth.late_s())),
            cpu_share: client.cpu_share,
            trouble: seen
                .validity
                .reasons
                .first()
                .map(|reason| reason.text.clone()),
        };
        let unpaired = exchanges.len() - pairs().count();
        if found.failed > 0 || unpaired > 0 {
            found.trouble = Some(format!(
                "{} requests failed, {unpaired} without stamps",
                found.failed
            ));
        } else if found
            .server_late_s
            .high()
            .is_some_and(|late_s| late_s > MAX_SEND_LAG_S)
        {
            found
                .trouble
                .get_or_insert_with(|| "the simulator could not keep up".into());
        }
        found
    }

    /// The error of a TTFT or of a gap between tokens, seconds.
    fn error_s(&self) -> Option<f64> {
        self.ttft_error_s
            .high()
            .into_iter()
            .chain(self.itl_error_s.high())
            .reduce(f64::max)
    }
}
