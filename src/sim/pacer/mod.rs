//! Gives each token its moment: one thread that owns the scheduler, waits for the next due time and writes the chunk
//! to the socket itself, so that no runtime's timer or queue lies between the two.

mod engine;
mod output;
mod thread;

pub use engine::{Engine, Ticket};
pub use output::{Output, Stream, StreamOutput, WholeOutput};
