//! Recorded workloads, replayed: who came when, with how long a prompt, and what it shared.

mod azure;
mod burstgpt;
mod config;
mod generate;
mod mooncake;
mod read;
mod rows;
mod sharegpt;
mod table;
#[cfg(test)]
mod tests;

pub use config::Trace;

/// Counts the tokens of a recorded text.
pub type Count<'a> = &'a dyn Fn(&str) -> u64;
