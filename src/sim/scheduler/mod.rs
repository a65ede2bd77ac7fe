//! The scheduler: a state machine over given times, without a clock, a thread or a socket.

mod job;
mod queue;
mod setup;
#[cfg(test)]
mod tests;

pub(crate) use job::{
    CacheEvent, DueToken, EngineLoad, Nanos, PromptSources, RequestId, ResetTiers, SimJob,
};
pub(crate) use queue::Scheduler;
pub(crate) use setup::SchedulerSetup;
