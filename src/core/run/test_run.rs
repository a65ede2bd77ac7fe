//! The experiments and checks of one test.

use crate::core::{Code, ExperimentResult, Outcome, Validity};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The number of experiments of a test, its failed checks and its invalid experiments.
///
/// Every test has its own. A session at the prompt is one test.
#[derive(Debug, Default)]
pub(crate) struct TestRun {
    experiments: usize,
    failed_checks: usize,
    /// The validity of each invalid experiment, by its number.
    invalid: BTreeMap<usize, Arc<Validity>>,
}

impl TestRun {
    /// The number of experiments so far.
    pub(crate) fn experiments(&self) -> usize {
        self.experiments
    }

    /// Adds an experiment and returns its number, from 0.
    pub(crate) fn add_experiment(&mut self) -> usize {
        self.experiments += 1;
        self.experiments - 1
    }

    /// Adds the result of an experiment.
    pub(crate) fn add_result(&mut self, result: &ExperimentResult) {
        if !result.validity.is_valid() {
            self.invalid.insert(result.expr_id, result.validity.clone());
        }
    }

    /// Adds a check.
    pub(crate) fn add_check(&mut self, passed: bool) {
        self.failed_checks += usize::from(!passed);
    }

    /// The outcome of the test if its script ran to the end.
    pub(crate) fn outcome(&self) -> Outcome {
        if !self.invalid.is_empty() {
            let reasons: Vec<String> = self.invalid.iter().map(|each| self.reasons(each)).collect();
            return Outcome::failed(Code::Invalid, format!("invalid: {}", reasons.join("; ")));
        }
        match self.failed_checks {
            0 => Outcome::Passed,
            1 => Outcome::failed(Code::Check, "1 check failed".into()),
            count => Outcome::failed(Code::Check, format!("{count} checks failed")),
        }
    }

    /// Returns why an experiment is invalid, with its number if the test has several.
    fn reasons(&self, (expr_id, validity): (&usize, &Arc<Validity>)) -> String {
        let reasons = validity.texts().collect::<Vec<_>>().join("; ");
        if self.experiments > 1 {
            format!("experiment {expr_id}: {reasons}")
        } else {
            reasons
        }
    }
}
