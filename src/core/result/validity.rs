//! The reasons why the numbers of an experiment cannot be believed.

use serde::Serialize;
use std::fmt;

/// The reasons why the numbers of an experiment cannot be believed. Without one it is valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// The reasons, the gravest first.
    pub reasons: Vec<Reason>,
}

/// A reason why the numbers of an experiment cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Its kind, for programs.
    pub code: ReasonCode,
    /// The reason with its numbers, for people.
    pub text: String,
}

/// The kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// Requests were sent late: the load was not the planned one.
    SendLag,
    /// A sending thread did not run for a long time.
    Stall,
    /// A sending thread had no CPU time left.
    Cpu,
    /// Chunks that came while a sending thread did not run have one stamp.
    Joined,
    /// The engines generated different numbers of tokens.
    UnequalWork,
}

impl Reason {
    /// A reason of the kind `code`.
    pub fn new(code: ReasonCode, text: String) -> Self {
        Self { code, text }
    }
}

impl Validity {
    /// Returns true if the list of reasons is empty.
    pub fn is_valid(&self) -> bool {
        self.reasons.is_empty()
    }

    /// The text of each reason.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.reasons.iter().map(|reason| reason.text.as_str())
    }
}

/// The mark that every table of an invalid experiment carries; empty for a valid one.
impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&invalid(self.texts()))
    }
}

/// The word INVALID and the reasons in a line; empty without a reason.
pub fn invalid<'a>(reasons: impl IntoIterator<Item = &'a str>) -> String {
    let reasons = reasons.into_iter().collect::<Vec<_>>().join("; ");
    if reasons.is_empty() {
        reasons
    } else {
        format!("INVALID: {reasons}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_experiment_is_marked_with_every_reason() {
        assert_eq!(Validity::default().to_string(), "");
        let reason = |code, text: &str| Reason::new(code, text.into());
        let reasons = vec![
            reason(ReasonCode::SendLag, "late"),
            reason(ReasonCode::Cpu, "busy"),
        ];
        let validity = Validity { reasons };
        assert_eq!(validity.to_string(), "INVALID: late; busy");
        let json = serde_json::to_value(&validity.reasons).expect("JSON");
        assert_eq!(
            json[0],
            serde_json::json!({ "code": "send_lag", "text": "late" })
        );
    }
}
