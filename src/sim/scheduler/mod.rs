//! Who runs when: a state machine over given times, without a clock, a thread or a socket.

mod job;
mod queue;
mod setup;
#[cfg(test)]
mod tests;

pub use job::{Job, Load, Nanos, Note, RequestId, ResetTiers, Sources, Step};
pub use queue::Scheduler;
pub use setup::Setup;
