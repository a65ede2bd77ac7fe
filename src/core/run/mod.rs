//! Experiments: sends workloads to engines, collects the rows and reports what happens as events.

pub(crate) mod client;
pub(crate) mod event;
pub(crate) mod experiment;
pub(crate) mod interrupts;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod prepare;
pub(crate) mod progress;
pub(crate) mod send;
pub mod single;
pub(crate) mod test_run;
