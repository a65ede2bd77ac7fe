//! Events into files and onto the terminal. It runs on a thread of its own and never delays a
//! request.

pub mod checkup;
pub mod export;
mod live;
mod manifest;
mod outputs;
mod reporter;
mod request_log;
mod screen;
mod tables;

pub use live::Watch;
pub use manifest::RunFacts;
pub use outputs::Outputs;
pub use reporter::{MAIN, Reporter};
pub use request_log::RequestLog;
pub use screen::{Verbosity, color, result_width};
pub use tables::experiment as experiment_table;
