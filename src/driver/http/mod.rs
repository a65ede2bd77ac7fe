//! The measuring path: hyper over sockets of our own, so that every read and write has a time.
//!
//! reqwest hides the socket, and with it the kernel's receive stamps. Requests that are not
//! measured use it, in `driver::probe`.

mod answer_memory;
mod connection;
mod delta;
mod drive;
mod exchange;
mod failure;
mod pacer;
mod reader;
#[cfg(test)]
mod servers;
mod shards;
mod socket;
mod sse;
mod stalls;
mod target;
mod timeouts;
mod tokens;
#[cfg(test)]
mod transcripts;

pub use delta::{Delta, PromptDetails, Usage};
pub use exchange::{Arrival, Exchange};
pub use failure::Failure;
pub use reader::{Reader, TextPolicy};
pub use shards::{RequestSource, SendJob, Shards};
pub use stalls::StallEffect;
pub use target::{RequestLimits, StreamEnd, Target, is_header};
pub use tokens::{ChunkTokens, TokenCount};
