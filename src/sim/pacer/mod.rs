//! The pacing thread, which owns the scheduler, waits for the due time of each token and writes its
//! chunk to the socket itself, without a timer or a queue of an async runtime in between.

mod engine;
mod output;
mod thread;

pub(crate) use engine::{RequestTicket, SimEngine, Submission};
pub(crate) use output::{AnswerOutput, AnswerStream, StreamOutput, WholeOutput};
