//! Workloads: lists of requests, made from a config by a generator.

mod agent;
mod answers;
mod arrivals;
mod body;
mod chat;
mod config;
mod custom;
mod dependencies;
mod dummy;
mod error;
mod generator;
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
pub use config::{TextOptions, WorkloadConfig};
pub use custom::{Custom, GivenMessage, GivenRequest};
pub use dependencies::{DependencyTracker, Ready};
pub use dummy::{Dummy, Growth};
pub use error::ConfigError;
pub use generator::Generator;
pub use length::Length;
pub use long_doc_qa::LongDocQa;
pub use multi_turn::MultiTurn;
pub use prefix_reuse::PrefixReuse;
pub use rag::Rag;
pub use random::Random;
pub use request::{After, Request};
pub use text::{CountedBy, Lexicon, Message, Part, estimate_tokens};
pub use trace::Trace;

use generator::{Generate, Plan};

#[cfg(test)]
mod tests;
