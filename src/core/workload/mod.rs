//! Workloads: lists of requests, made from a config by a generator.

mod agent;
mod answers;
mod arrivals;
mod body;
mod chat;
mod custom;
mod dependencies;
mod dummy;
mod length;
mod limits;
mod long_doc_qa;
mod multi_turn;
mod prefix_reuse;
mod rag;
mod random;
mod request;
mod seed;
mod text;
mod trace;

pub use agent::Agent;
pub use answers::Answers;
pub use arrivals::{Arrivals, Spacing};
pub use body::{Endpoint, RequestOptions, Said};
pub use chat::Chat;
pub use custom::{Custom, GivenMessage, GivenRequest};
pub use dependencies::{DependencyTracker, Ready};
pub use dummy::{Dummy, Growth};
pub use length::Length;
pub use long_doc_qa::LongDocQa;
pub use multi_turn::MultiTurn;
pub use prefix_reuse::PrefixReuse;
pub use rag::Rag;
pub use random::Random;
pub use request::{After, Request};
pub use text::{CountedBy, Lexicon, Message, Part, estimate_tokens};
pub use trace::Trace;

use arrivals::Own;
use limits::CountSource;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// What to generate, when each request comes, and how it is to be answered.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadConfig {
    /// The generator.
    #[serde(flatten)]
    pub generator: Generator,
    /// When requests come.
    #[serde(flatten)]
    pub arrivals: Arrivals,
    /// What texts are made of.
    #[serde(flatten)]
    pub text: TextOptions,
    /// The same for every request.
    pub request: RequestOptions,
    /// The words of the texts, as far as they are known without an engine.
    #[serde(skip)]
    pub lexicon: Arc<Lexicon>,
}

/// What texts are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextOptions {
    /// The same seed makes the same workload; that of the run where none is given.
    pub seed: Option<u64>,
    /// Who counts tokens: the path of a `tokenizer.json`, `engine`, or `rule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

impl TextOptions {
    /// As `tokenizer`: the engine counts.
    pub const ENGINE: &'static str = "engine";
    /// As `tokenizer`: the rule counts.
    pub const RULE: &'static str = "rule";
}

/// The generators, each with its config.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "workload", rename_all = "snake_case")]
pub enum Generator {
    /// One long shared context, a short question of its own for each request.
    Dummy(Dummy),
    /// The same with contexts that grow: a, 2a, 2a, 3a, 3a …
    Vary(Dummy),
    /// One conversation whose answers become its history.
    MultiTurn(MultiTurn),
    /// Some prefixes, each used again and again.
    PrefixReuse(PrefixReuse),
    /// Some documents of many in changing order, and a question.
    Rag(Rag),
    /// Many users, each in a conversation.
    Chat(Chat),
    /// Growing histories of tool calls, with branches.
    Agent(Agent),
    /// Every document once, then questions to all.
    LongDocQa(LongDocQa),
    /// Nothing shared, lengths by distribution.
    Random(Random),
    /// A recorded workload.
    Trace(Trace),
    /// Requests as a script gives them.
    Custom(Custom),
}

/// Makes requests from a config.
trait Generate {
    /// The config, if it can be generated.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// What is wrong with `tokenizer` as the one who counts tokens.
    fn check_tokenizer(&self, _tokenizer: &str) -> Result<(), &'static str> {
        Ok(())
    }

    /// How many arrivals there are where nothing is given.
    fn usual_count(&self) -> u64 {
        100
    }

    /// Seconds between arrivals where nothing is given; `None` where the requests have times of
    /// their own, which arrivals replace only if some are given.
    fn usual_gap_s(&self) -> Option<f64> {
        Some(1.0)
    }

    /// How many arrivals there are at most in a round, where the config says it in words of its own
    /// and not by `requests` or `duration_s`: those words, and the number.
    fn own_count(&self) -> Option<(&'static str, u64)> {
        None
    }

    /// Returns true if one of its requests has its own length that the answer must have.
    fn fixes_lengths(&self) -> bool {
        false
    }

    /// How many requests so many arrivals bring.
    fn count(&self, arrivals: u64) -> u64 {
        arrivals
    }

    /// Appends the requests of the plan's arrivals. A request that is to be placed by the arrivals
    /// has some timestamp; one without is placed by the request it follows.
    fn make(&self, plan: &mut Plan);

    /// The config on one line, without the arrivals.
    fn title(&self) -> String;
}

/// What a generator works with, and what it makes.
struct Plan<'a> {
    /// How many arrivals there are to be.
    count: u64,
    seed: u64,
    lexicon: &'a Lexicon,
    requests: Vec<Request>,
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

impl ConfigError {
    /// An error of `option`.
    pub fn new(option: &'static str, problem: impl Into<String>) -> Self {
        Self {
            option,
            problem: problem.into(),
        }
    }

    /// The first of some possible errors that is one: whether it is, of which option, and the
    /// problem.
    fn first(all: &[(bool, &'static str, &str)]) -> Result<(), Self> {
        match all.iter().find(|(wrong, ..)| *wrong) {
            None => Ok(()),
            Some((_, option, problem)) => Err(Self::new(option, *problem)),
        }
    }
}

impl Generator {
    fn inner(&self) -> &dyn Generate {
        match self {
            Self::Dummy(dummy) | Self::Vary(dummy) => dummy,
            Self::MultiTurn(multi_turn) => multi_turn,
            Self::PrefixReuse(prefix_reuse) => prefix_reuse,
            Self::Rag(rag) => rag,
            Self::Chat(chat) => chat,
            Self::Agent(agent) => agent,
            Self::LongDocQa(long_doc_qa) => long_doc_qa,
            Self::Random(random) => random,
            Self::Trace(trace) => trace,
            Self::Custom(custom) => custom,
        }
    }

    /// As `load::…` calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dummy(_) => "dummy",
            Self::Vary(_) => "vary",
            Self::MultiTurn(_) => "multi_turn",
            Self::PrefixReuse(_) => "prefix_reuse",
            Self::Rag(_) => "rag",
            Self::Chat(_) => "chat",
            Self::Agent(_) => "agent",
            Self::LongDocQa(_) => "long_doc_qa",
            Self::Random(_) => "random",
            Self::Trace(_) => "trace",
            Self::Custom(_) => "custom",
        }
    }
}

impl WorkloadConfig {
    /// The config, if it can be generated.
    ///
    /// # Errors
    /// Where two options contradict each other or a value makes no workload.
    pub fn new(
        generator: Generator,
        arrivals: Arrivals,
        text: TextOptions,
        request: RequestOptions,
    ) -> Result<Self, ConfigError> {
        let inner = generator.inner();
        inner.check()?;
        request.check()?;
        let counted = text
            .tokenizer
            .as_deref()
            .map_or(Ok(()), |tokenizer| inner.check_tokenizer(tokenizer));
        counted.map_err(|problem| ConfigError::new("tokenizer", problem))?;
        let arrivals = arrivals.checked(Own {
            gap_s: inner.usual_gap_s(),
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

    /// The requests, in an order in which each comes after the one that it follows. The same
    /// config and lexicon give the same requests.
    pub fn generate(&self, lexicon: &Lexicon) -> Vec<Request> {
        let count = self.arrival_count();
        let mut plan = Plan {
            count,
            seed: self.seed(),
            lexicon,
            requests: Vec::new(),
        };
        self.generator.inner().make(&mut plan);
        if self.arrivals.is_paced() || self.arrivals.concurrency.is_some() {
            self.place(&mut plan.requests);
        }
        plan.requests
    }

    /// Gives every request that waits for one a moment, round by round.
    fn place(&self, requests: &mut [Request]) {
        for round in requests.chunk_by_mut(|a, b| a.round == b.round) {
            let waiting = round
                .iter_mut()
                .filter(|request| request.timestamp.is_some());
            let mut waiting: Vec<&mut Request> = waiting.collect();
            let times = self.arrivals.times(waiting.len() as u64, self.seed());
            for (request, time) in waiting.iter_mut().zip(times) {
                request.timestamp = self.arrivals.concurrency.is_none().then_some(time);
            }
        }
    }

    fn seed(&self) -> u64 {
        self.text.seed.unwrap_or_default()
    }

    fn arrival_count(&self) -> u64 {
        let inner = self.generator.inner();
        inner.own_count().map_or_else(
            || self.arrivals.count(inner.usual_count()),
            |(_, count)| count,
        )
    }

    /// Returns true if one of its answers must have a fixed length.
    pub fn fixes_lengths(&self) -> bool {
        self.request.ignore_eos || self.generator.inner().fixes_lengths()
    }

    /// How many requests [`WorkloadConfig::generate`] makes.
    pub fn count(&self) -> usize {
        self.generator.inner().count(self.arrival_count()) as usize
    }

    /// The config on one line, for tables and titles.
    pub fn title(&self) -> String {
        format!(
            "{}, {} requests, {}",
            self.generator.inner().title(),
            self.count(),
            self.arrivals.title()
        )
    }
}

#[cfg(test)]
mod tests;
