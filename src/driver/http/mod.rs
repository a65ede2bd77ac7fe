//! The measuring path: hyper over our own socket I/O, so that every byte has a time.
//!
//! reqwest hides the socket, and with it the kernel's receive stamps; everything that is
//! not measured goes through reqwest in [`super::probe`].

mod connection;
mod delta;
mod drive;
mod exchange;
mod failure;
mod guard;
mod pacer;
mod reader;
mod room;
#[cfg(test)]
mod servers;
mod shards;
mod socket;
mod sse;
mod stalls;
mod target;
mod tokens;
#[cfg(test)]
mod transcripts;

pub use delta::{Delta, PromptDetails, Usage};
pub use exchange::{Arrival, Exchange};
pub use failure::Failure;
pub use reader::Reader;
pub use shards::{Job, Plan, Shards};
pub use stalls::Stalled;
pub use target::{Limits, StreamEnd, Target, is_header};
pub use tokens::{ChunkTokens, Count};
