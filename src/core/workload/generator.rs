//! The generators of requests.

use super::{
    Agent, Chat, ConfigError, Custom, Dummy, Lexicon, LongDocQa, MultiTurn, PrefixReuse, Rag,
    Random, Request, Trace,
};
use serde::Serialize;

/// A generator with its config.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "workload", rename_all = "snake_case")]
pub enum Generator {
    /// One long context that all requests share, and a short question each.
    Dummy(Dummy),
    /// [`Generator::Dummy`] with growing contexts: a, 2a, 2a, 3a, 3a …
    Vary(Dummy),
    /// One conversation whose answers become its history.
    MultiTurn(MultiTurn),
    /// Prefixes that are used repeatedly.
    PrefixReuse(PrefixReuse),
    /// A few of many documents in changing order, and a question.
    Rag(Rag),
    /// Conversations of many users.
    Chat(Chat),
    /// Growing histories of tool calls, with branches.
    Agent(Agent),
    /// Every document once, then questions to all.
    LongDocQa(LongDocQa),
    /// Nothing shared, lengths drawn from distributions.
    Random(Random),
    /// A recorded workload.
    Trace(Trace),
    /// Requests given by a script.
    Custom(Custom),
}

/// The generation of requests from a config.
pub(super) trait Generate {
    /// Checks the config.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Checks `tokenizer` as the source of token counts.
    fn check_tokenizer(&self, _tokenizer: &str) -> Result<(), &'static str> {
        Ok(())
    }

    /// Returns the default number of arrivals.
    fn default_count(&self) -> u64 {
        100
    }

    /// Returns the default time between arrivals, seconds; `None` if the requests have their own
    /// times, which apply unless arrivals are given.
    fn default_gap_s(&self) -> Option<f64> {
        Some(1.0)
    }

    /// For generators that set the number of requests with other options than `requests` and
    /// `duration_s`: returns those options, and the maximum number of arrivals in a round.
    fn own_count(&self) -> Option<(&'static str, u64)> {
        None
    }

    /// Returns true if a request sets the exact length of its answer.
    fn fixes_lengths(&self) -> bool {
        false
    }

    /// Returns the number of requests of this number of arrivals.
    fn count(&self, arrivals: u64) -> u64 {
        arrivals
    }

    /// Appends the requests of the plan's arrivals. The arrivals set the time of a request with a
    /// timestamp; a request without one waits for the request that it follows.
    fn generate(&self, plan: &mut Plan);

    /// Returns a description of the config on one line, without the arrivals.
    fn title(&self) -> String;
}

/// The input of a generator, and its requests.
pub(super) struct Plan<'a> {
    /// The number of arrivals.
    pub(super) count: u64,
    pub(super) seed: u64,
    pub(super) lexicon: &'a Lexicon,
    pub(super) requests: Vec<Request>,
}

impl Generator {
    /// Returns the default number of requests; `None` if the generator has a count of its own.
    pub(crate) fn default_requests(&self) -> Option<u64> {
        let inner = self.inner();
        inner.own_count().is_none().then(|| inner.default_count())
    }

    /// Returns the default time between requests, seconds; `None` if the requests have their own
    /// times.
    pub(crate) fn default_gap_s(&self) -> Option<f64> {
        self.inner().default_gap_s()
    }

    pub(super) fn inner(&self) -> &dyn Generate {
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

    /// Returns its name in `load::…`.
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
