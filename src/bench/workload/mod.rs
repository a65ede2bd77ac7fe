//! Workloads: lists of requests with timestamps, made from a config by a generator.

mod body;
mod dummy;
mod text;

pub use body::RequestOptions;
pub use dummy::Dummy;
pub use text::{Part, Prompt, estimate_tokens};

use serde::Serialize;
use thiserror::Error;

/// One prompt, a context plus a query, planned for a moment of the workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// When it is due, seconds from the start of the experiment.
    pub timestamp: f64,
    /// Tokens of the context, as configured.
    pub context_len: u64,
    /// Tokens of the query, as configured.
    pub query_len: u64,
    /// What it says.
    pub prompt: Prompt,
}

/// What to generate, and how each request is to be answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadConfig {
    /// The generator.
    #[serde(flatten)]
    pub generator: Generator,
    /// The same for every request.
    pub request: RequestOptions,
}

/// The generators, each with its config.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "workload", rename_all = "snake_case")]
pub enum Generator {
    /// One long shared context, a short question of its own for each request.
    Dummy(Dummy),
    /// The same with contexts that grow: a, 2a, 2a, 3a, 3a …
    Vary(Dummy),
}

/// A config that cannot be generated.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("`{option}` {problem}")]
pub struct ConfigError {
    /// The option at fault.
    pub option: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl WorkloadConfig {
    /// The requests, in order of their timestamps. The same config gives the same requests.
    pub fn generate(&self) -> Vec<Request> {
        match &self.generator {
            Generator::Dummy(dummy) => dummy.generate(|_| 1),
            // The original counts its requests from one.
            Generator::Vary(dummy) => dummy.generate(|i| i.div_ceil(2) + 1),
        }
    }

    /// How many requests [`WorkloadConfig::generate`] makes.
    pub fn count(&self) -> usize {
        match &self.generator {
            Generator::Dummy(dummy) | Generator::Vary(dummy) => dummy.count() as usize,
        }
    }

    /// The generator's name.
    pub fn name(&self) -> &'static str {
        match &self.generator {
            Generator::Dummy(_) => "dummy",
            Generator::Vary(_) => "vary",
        }
    }

    /// The config on one line, for tables and titles.
    pub fn title(&self) -> String {
        match &self.generator {
            Generator::Dummy(dummy) => dummy.title(),
            Generator::Vary(dummy) => format!("growing {}", dummy.title()),
        }
    }
}
