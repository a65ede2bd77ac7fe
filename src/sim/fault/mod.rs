//! Deliberate faults, to test clients and lmrun with.
//!
//! The parts of the simulator that can fail ask this module. Without `--fault` nothing fails.

mod life;
mod spec;
mod stream;

pub(crate) use life::{outlast, start};
pub(crate) use spec::{AnswerFault, Fault, Faults, help};
pub(crate) use stream::StreamFaults;
