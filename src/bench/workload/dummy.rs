//! The DUMMY workload: one long context that all requests share, one question each.

use super::text::{Part, Prompt, estimate_tokens};
use super::{ConfigError, Request};
use crate::bench::Seconds;
use serde::{Deserialize, Serialize};

const FILLER: &str = "This is some dummy text. ";
const QUESTION: &str = " Question: How are you doing today?";

/// The longest prompt that is made, tokens.
pub const MAX_CONTEXT_LEN: u64 = 32_768;

/// The config of the DUMMY workload.
///
/// Request `i` is due at `i / qps + offset_s`; `gap_s` says the same as `qps = 1 / gap_s`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dummy {
    /// Requests a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qps: Option<f64>,
    /// Seconds between requests; 8 where neither this nor `qps` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_s: Option<Seconds>,
    /// How long requests are sent; there are `duration_s * qps` of them, rounded down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<Seconds>,
    /// How many requests; 10 where neither this nor `duration_s` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens of the shared context, estimated.
    pub context_len: u64,
    /// Tokens of the query, estimated.
    pub query_len: u64,
    /// When the first request is due.
    pub offset_s: Seconds,
}

impl Default for Dummy {
    fn default() -> Self {
        Self {
            qps: None,
            gap_s: None,
            duration_s: None,
            requests: None,
            context_len: 8192,
            query_len: 16,
            offset_s: Seconds(0.0),
        }
    }
}

impl Dummy {
    /// The config, if it can be generated.
    ///
    /// # Errors
    /// Where two options contradict each other or a value makes no workload.
    pub fn checked(self) -> Result<Self, ConfigError> {
        let wrong = |option, problem: &str| Err(ConfigError { option, problem: problem.into() });
        if self.qps.is_some() && self.gap_s.is_some() {
            return wrong("qps", "and `gap_s` say the same thing twice: give one of them");
        }
        if self.qps.is_some_and(|qps| !(qps > 0.0 && qps.is_finite())) {
            return wrong("qps", "must be greater than zero");
        }
        if self.duration_s.is_some() && self.requests.is_some() {
            return wrong("duration_s", "and `requests` say the same thing twice: give one of them");
        }
        if self.duration_s.is_some() && self.gap_s == Some(Seconds(0.0)) {
            return wrong("duration_s", "gives no number of requests when `gap_s` is 0: give `requests`");
        }
        if self.count() == 0 {
            return wrong("requests", "must be at least one (`duration_s` × `qps`, rounded down)");
        }
        if self.query_len >= MAX_CONTEXT_LEN {
            return wrong(
                "query_len",
                &format!("must be below the longest prompt, {MAX_CONTEXT_LEN} tokens"),
            );
        }
        Ok(self)
    }

    /// The requests; the context of request `i`, counted from 0, is `growth(i)` times as long as
    /// configured, and none is longer than the longest prompt.
    pub(super) fn generate(&self, growth: impl Fn(u64) -> u64) -> Vec<Request> {
        let longest = MAX_CONTEXT_LEN - self.query_len;
        let context = |i| self.context_len.saturating_mul(growth(i)).min(longest);
        let times = |tokens: u64| (tokens / estimate_tokens(FILLER)) as usize;
        (0..self.count())
            .map(|i| Request {
                timestamp: self.due_s(i),
                context_len: context(i),
                query_len: self.query_len,
                prompt: Prompt(vec![
                    Part::Repeated { unit: FILLER, times: times(context(i)) },
                    Part::Literal(format!(" Index {i}. ")),
                    Part::Repeated { unit: FILLER, times: times(self.query_len) },
                    Part::Literal(QUESTION.into()),
                ]),
            })
            .collect()
    }

    pub(super) fn title(&self) -> String {
        let pace = match self.period_s() {
            0.0 => "all at once".to_owned(),
            period_s => format!("one every {period_s} s"),
        };
        format!("context {} tokens, {} requests, {pace}", self.context_len, self.count())
    }

    fn period_s(&self) -> f64 {
        match (self.qps, self.gap_s) {
            (Some(qps), _) => 1.0 / qps,
            (None, Some(Seconds(gap_s))) => gap_s,
            (None, None) => 8.0,
        }
    }

    fn due_s(&self, i: u64) -> f64 {
        let since_first = self.qps.map_or(i as f64 * self.period_s(), |qps| i as f64 / qps);
        since_first + self.offset_s.0
    }

    /// How many requests there are.
    pub(super) fn count(&self) -> u64 {
        match (self.requests, self.duration_s) {
            (Some(requests), _) => requests,
            (None, Some(Seconds(duration_s))) => match self.qps {
                Some(qps) => (duration_s * qps) as u64,
                None => (duration_s / self.period_s()) as u64,
            },
            (None, None) => 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Generator, RequestOptions, WorkloadConfig};
    use super::*;
    use proptest::prelude::*;

    fn dummy(json: &str) -> Result<Dummy, ConfigError> {
        serde_json::from_str::<Dummy>(json).expect("known options").checked()
    }

    #[test]
    fn timestamps_are_i_over_qps_plus_offset() {
        let config = dummy(r#"{"qps": 0.5, "duration_s": 7, "offset_s": 1}"#).expect("a config");
        let timestamps: Vec<f64> = config.generate(|_| 1).iter().map(|request| request.timestamp).collect();
        assert_eq!(timestamps, [1.0, 3.0, 5.0]);
    }

    #[test]
    fn the_text_is_the_originals() {
        let config = dummy(r#"{"context_len": 12, "query_len": 7, "requests": 2}"#).expect("a config");
        assert_eq!(
            config.generate(|_| 1)[1].prompt.text(),
            "This is some dummy text. This is some dummy text.  Index 1. This is some dummy text.  \
             Question: How are you doing today?"
        );
    }

    #[test]
    fn the_context_is_capped_at_the_models() {
        let config = dummy(r#"{"context_len": 100000}"#).expect("a config");
        assert_eq!(config.generate(|_| 1)[0].context_len, MAX_CONTEXT_LEN - 16);
    }

    #[test]
    fn growing_contexts_are_the_originals() {
        let dummy = dummy(r#"{"context_len": 12288, "requests": 6}"#).expect("a config");
        let config = WorkloadConfig { generator: Generator::Vary(dummy), request: RequestOptions::default() };
        let lengths: Vec<u64> = config.generate().iter().map(|request| request.context_len).collect();
        assert_eq!(lengths, [12_288, 24_576, 24_576, 32_752, 32_752, 32_752]);
        let shared = config.generate()[0].prompt.text();
        let shared = shared.split(" Index").next().expect("the context");
        assert!(
            config.generate()[1].prompt.text().starts_with(shared),
            "the longer context begins with the shorter"
        );
    }

    #[test]
    fn contradictions_are_named() {
        for (json, message) in [
            (r#"{"qps": 1, "gap_s": 1}"#, "`qps` and `gap_s` say the same thing twice: give one of them"),
            (r#"{"qps": 0}"#, "`qps` must be greater than zero"),
            (r#"{"requests": 0}"#, "`requests` must be at least one (`duration_s` × `qps`, rounded down)"),
            (
                r#"{"gap_s": 0, "duration_s": 3}"#,
                "`duration_s` gives no number of requests when `gap_s` is 0: give `requests`",
            ),
            (r#"{"query_len": 40000}"#, "`query_len` must be below the longest prompt, 32768 tokens"),
        ] {
            assert_eq!(dummy(json).expect_err(json).to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn as_many_as_asked_sorted_and_of_the_length_asked(
            requests in 1u64..50, gap_s in 0f64..10.0, context_len in 0u64..40_000,
        ) {
            let config = Dummy {
                requests: Some(requests), gap_s: Some(Seconds(gap_s)), context_len, ..Dummy::default()
            };
            let made = config.generate(|_| 1);
            prop_assert_eq!(made.len() as u64, requests);
            prop_assert!(made.is_sorted_by(|a, b| a.timestamp <= b.timestamp));
            let text = made[0].prompt.text();
            let context = text.split(" Index").next().unwrap_or_default();
            let off = made[0].context_len - estimate_tokens(context);
            prop_assert!(off < estimate_tokens(FILLER), "off by {}", off);
        }
    }
}
