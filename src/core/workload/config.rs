//! The config of a workload, and its requests.

use super::arrivals::GeneratorArrivals;
use super::generator::{Generator, Plan};
use super::limits::{self, CountSource};
use super::{Arrivals, ConfigError, Lexicon, Request, RequestOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The config of a workload: its requests, their times, and the options of their answers.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadConfig {
    /// The generator.
    #[serde(flatten)]
    pub generator: Generator,
    /// The times of requests.
    #[serde(flatten)]
    pub arrivals: Arrivals,
    /// The options of the texts.
    #[serde(flatten)]
    pub text: TextOptions,
    /// The options of every request.
    pub request: RequestOptions,
    /// The words of the texts, as they are known without an engine.
    #[serde(skip)]
    pub lexicon: Arc<Lexicon>,
}

/// The options of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextOptions {
    /// Seed of all random choices. By default, `--seed`.
    pub seed: Option<u64>,
    /// Source of token counts: "engine", "rule" (an estimate), or the path of a `tokenizer.json` or
    /// of the folder of a model. By default, "engine" for generated words, otherwise "rule".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

impl TextOptions {
    /// The value of `tokenizer` for counts of the engine.
    pub const ENGINE: &'static str = "engine";
    /// The value of `tokenizer` for counts by rule.
    pub const RULE: &'static str = "rule";
}

impl WorkloadConfig {
    /// Creates a config.
    ///
    /// # Errors
    /// Fails if two options contradict each other or an option is invalid.
    pub fn new(
        generator: Generator,
        arrivals: Arrivals,
        text: TextOptions,
        request: RequestOptions,
    ) -> Result<Self, ConfigError> {
        let inner = generator.inner();
        inner.check()?;
        request.check()?;
        if let Some(tokenizer) = &text.tokenizer {
            inner
                .check_tokenizer(tokenizer)
                .map_err(|problem| ConfigError::new("tokenizer", problem))?;
        }
        let arrivals = arrivals.checked(GeneratorArrivals {
            gap_s: inner.default_gap_s(),
            count: inner.own_count(),
        })?;
        let config = Self {
            generator,
            arrivals,
            text,
            request,
            lexicon: Arc::default(),
        };
        let source = if config.arrivals.requests.is_some() {
            CountSource::Option
        } else {
            CountSource::Computed
        };
        limits::requests(config.count() as u64, source)?;
        config.arrivals.check_length(config.arrival_count())?;
        Ok(config)
    }

    /// Generates the requests, each after the one that it follows. The same config and lexicon give
    /// the same requests.
    pub fn generate(&self, lexicon: &Lexicon) -> Vec<Request> {
        let count = self.arrival_count();
        let mut plan = Plan {
            count,
            seed: self.seed(),
            lexicon,
            requests: Vec::new(),
        };
        self.generator.inner().generate(&mut plan);
        if self.arrivals.is_paced() || self.arrivals.concurrency.is_some() {
            self.place(&mut plan.requests);
        }
        plan.requests
    }

    /// Sets the times of the requests that have one, round by round.
    fn place(&self, requests: &mut [Request]) {
        for round in requests.chunk_by_mut(|a, b| a.round == b.round) {
            let mut placed: Vec<&mut Request> = round
                .iter_mut()
                .filter(|request| request.timestamp.is_some())
                .collect();
            let times = self.arrivals.times(placed.len() as u64, self.seed());
            for (request, time) in placed.iter_mut().zip(times) {
                request.timestamp = self.arrivals.concurrency.is_none().then_some(time);
            }
        }
    }

    fn seed(&self) -> u64 {
        self.text.seed.unwrap_or(0)
    }

    fn arrival_count(&self) -> u64 {
        let inner = self.generator.inner();
        match inner.own_count() {
            Some((_, count)) => count,
            None => self.arrivals.count(inner.default_count()),
        }
    }

    /// Returns true if an answer must have a fixed length.
    pub fn fixes_lengths(&self) -> bool {
        self.request.ignore_eos || self.generator.inner().fixes_lengths()
    }

    /// Returns the number of requests that [`WorkloadConfig::generate`] generates.
    pub fn count(&self) -> usize {
        self.generator.inner().count(self.arrival_count()) as usize
    }

    /// Returns a description of the config on one line.
    pub fn title(&self) -> String {
        format!(
            "{}, {} requests, {}",
            self.generator.inner().title(),
            self.count(),
            self.arrivals.title()
        )
    }
}
