//! The errors of workload configs.

use thiserror::Error;

/// An error of a workload config.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("`{option}` {problem}")]
pub struct ConfigError {
    /// The invalid option.
    pub option: &'static str,
    /// The problem, and what is expected.
    pub problem: String,
}

impl ConfigError {
    /// Creates an error of `option`.
    pub fn new(option: &'static str, problem: impl Into<String>) -> Self {
        Self {
            option,
            problem: problem.into(),
        }
    }

    /// Returns the first error of a list of checks: true for an error, its option and its problem.
    pub(super) fn first(all: &[(bool, &'static str, &str)]) -> Result<(), Self> {
        for (is_error, option, problem) in all {
            if *is_error {
                return Err(Self::new(option, *problem));
            }
        }
        Ok(())
    }
}
