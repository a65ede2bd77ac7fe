//! The result of an experiment.

use crate::core::result::client_health::Spent;
use crate::core::result::row::engine_label;
use crate::core::run::send::INTERRUPTED;
use crate::core::{ClientHealth, Distribution, Reason, Row, Validity};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rows of an experiment, by engine. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ExperimentResult {
    /// The number of the experiment within its test.
    pub expr_id: usize,
    /// Its workload, in words.
    pub title: String,
    /// One for each engine, in their order.
    pub engines: Vec<EngineResult>,
    /// The health of the client.
    pub client: ClientHealth,
    /// The reasons why its numbers cannot be believed, if there are any.
    pub validity: Arc<Validity>,
}

impl ExperimentResult {
    /// Judges the rows of `engines` and the resources that the client `spent` on them: requests may be sent
    /// `max_send_lag_s` late.
    pub fn new(
        expr_id: usize,
        title: String,
        mut engines: Vec<EngineResult>,
        spent: &Spent,
        max_send_lag_s: f64,
    ) -> Self {
        let client = ClientHealth::of(&engines, spent, max_send_lag_s);
        let validity = Arc::new(Validity {
            reasons: client.faults(),
        });
        for engine in &mut engines {
            engine.validity = validity.clone();
            for row in Arc::make_mut(&mut engine.rows) {
                row.valid = Some(validity.is_valid());
            }
        }
        Self {
            expr_id,
            title,
            engines,
            client,
            validity,
        }
    }

    /// Adds a reason why its numbers cannot be believed.
    pub fn add_reason(&mut self, reason: Reason) {
        let mut validity = Validity::clone(&self.validity);
        validity.reasons.push(reason);
        self.validity = Arc::new(validity);
        for engine in &mut self.engines {
            engine.validity = self.validity.clone();
        }
    }

    /// Returns it without the requests that an interrupt cut off.
    #[must_use]
    pub fn without_interrupted(mut self) -> Self {
        let is_complete = |row: &&Row| row.error.as_deref() != Some(INTERRUPTED);
        for engine in &mut self.engines {
            engine.rows = Arc::new(engine.rows.iter().filter(is_complete).cloned().collect());
        }
        self
    }

    /// The number of requests to all engines.
    pub fn requests(&self) -> usize {
        self.engines.iter().map(|engine| engine.rows.len()).sum()
    }
}

/// The result of one engine in an experiment.
#[derive(Clone, Debug, Default)]
pub struct EngineResult {
    /// The engine's name.
    pub name: Arc<str>,
    /// True if the engine is simulated.
    pub simulated: bool,
    /// Its requests, in their order.
    pub rows: Arc<Vec<Row>>,
    /// The reasons why the numbers of its experiment cannot be believed, if there are any.
    pub validity: Arc<Validity>,
}

impl EngineResult {
    /// The `rows` of an engine, in the order of its requests.
    pub fn new(name: Arc<str>, simulated: bool, mut rows: Vec<Row>) -> Self {
        rows.sort_by_key(|row| row.request_id);
        Self {
            name,
            simulated,
            rows: Arc::new(rows),
            validity: Arc::default(),
        }
    }
}

impl EngineResult {
    /// The name of the engine, marked if it is simulated.
    pub(crate) fn label(&self) -> String {
        engine_label(&self.name, self.simulated)
    }

    /// One measure over the requests that have it.
    pub fn distribution(&self, measure: impl Fn(&Row) -> Option<f64>) -> Distribution {
        self.rows.iter().filter_map(measure).collect()
    }

    /// Requests without a complete answer.
    pub fn failed(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_ok()).count()
    }

    /// Failed requests over all requests, from 0 to 1; `None` without requests.
    pub fn error_rate(&self) -> Option<f64> {
        (!self.rows.is_empty()).then(|| self.failed() as f64 / self.rows.len() as f64)
    }

    /// The failures, and how often each occurred.
    pub fn failures(&self) -> BTreeMap<&str, usize> {
        let mut failures = BTreeMap::new();
        for error in self.rows.iter().filter_map(|row| row.error.as_deref()) {
            *failures.entry(error).or_default() += 1;
        }
        failures
    }

    /// The share of the prompt tokens that were cached; `None` if the engine does not report it.
    pub fn cached_share(&self) -> Option<f64> {
        let mut share = CachedShare::default();
        for row in self.rows.iter().filter(|row| row.is_ok()) {
            share.add(row.cached_tokens, row.prompt_tokens);
        }
        share.value()
    }
}

/// Cached tokens over prompt tokens of the requests that one engine answered in one experiment.
///
/// Some engines report cached tokens only for a hit. If an engine reports them for any request, a
/// request without a report counts as a miss.
#[derive(Clone, Copy, Debug, Default)]
pub struct CachedShare {
    cached: u64,
    prompt: u64,
    is_reported: bool,
}

impl CachedShare {
    /// Adds an answered request, as the engine counted it.
    pub fn add(&mut self, cached_tokens: Option<u64>, prompt_tokens: Option<u64>) {
        let Some(prompt) = prompt_tokens else { return };
        self.is_reported |= cached_tokens.is_some();
        self.cached += cached_tokens.unwrap_or(0);
        self.prompt += prompt;
    }

    /// The share so far; `None` if no request reports cached tokens.
    pub fn value(&self) -> Option<f64> {
        (self.is_reported && self.prompt > 0).then(|| self.cached as f64 / self.prompt as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::result::from_exchange::{EndedRequest, RowContext, tests::context};
    use crate::core::workload::Request;
    use crate::driver::clock::Stamp;
    use crate::driver::http::{Arrival, Exchange, Reader, SendJob, TextPolicy};

    /// The end of a stream as SGLang sends it: the details are missing if nothing was cached.
    const MISS: &str =
        r#"{"prompt_tokens":1000,"completion_tokens":1,"prompt_tokens_details":null}"#;
    const HIT: &str = r#"{"prompt_tokens":1000,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":980}}"#;

    fn row(usage: &str, reports_only_hits: bool) -> Row {
        let token = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"length"}]}"#;
        let stream = format!(
            "data: {token}\n\ndata: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"
        );
        let mut seen = Exchange {
            sent: Some(Stamp(1)),
            ..Exchange::default()
        };
        let arrival = Arrival {
            kernel: None,
            read: Stamp(2),
        };
        Reader::new(TextPolicy::Discard)
            .feed(stream.as_bytes(), arrival, &mut seen)
            .expect("a stream");
        let context = RowContext {
            reports_only_hits,
            ..context()
        };
        let job = SendJob {
            index: 0,
            due: Stamp(0),
            intended: None,
            unsent: None,
        };
        let ended = EndedRequest {
            job: &job,
            request: &Request::default(),
            x_request_id: String::new(),
            gpu_memory: "{}".into(),
        };
        Row::new(&context, ended, &seen)
    }

    fn engine(rows: impl IntoIterator<Item = Row>) -> EngineResult {
        EngineResult::new("e".into(), false, rows.into_iter().collect())
    }

    #[test]
    fn cached_share_counts_a_miss_that_is_not_reported() {
        let one_miss = std::iter::once(row(MISS, false)).chain((0..9).map(|_| row(HIT, false)));
        assert_eq!(engine(one_miss).cached_share(), Some(0.882));
        assert_eq!(
            engine([row(MISS, false), row(MISS, false)]).cached_share(),
            None
        );
    }

    #[test]
    fn cached_share_of_an_engine_that_reports_only_hits_is_zero_without_one() {
        let misses = engine([row(MISS, true), row(MISS, true)]);
        assert_eq!(
            (misses.rows[0].cached_tokens, misses.cached_share()),
            (Some(0), Some(0.0))
        );
        let uncounted = engine([row("null", true)]);
        assert_eq!(
            (uncounted.rows[0].cached_tokens, uncounted.cached_share()),
            (None, None)
        );
    }

    #[test]
    fn cached_share_ignores_failed_requests() {
        let failed = Row {
            error: Some("broke".into()),
            ..row(MISS, true)
        };
        assert_eq!(engine([row(HIT, false), failed]).cached_share(), Some(0.98));
    }
}
