//! Faults on purpose: what whoever talks to an engine must be able to bear.
//!
//! The parts that fail ask here whether they are to; without `--fault` nothing of this happens.

mod life;
mod spec;
mod stream;

pub use life::{begin, outlast};
pub use spec::{AnswerFault, Fault, Faults, help};
pub use stream::Spoiler;
