//! Events into files and onto the terminal. It runs on a thread of its own and never delays a
//! request.

mod braille;
pub mod checkup;
mod manifest;
mod outputs;
mod reporter;
mod request_log;
mod screen;
mod tables;
pub mod values;

pub use manifest::RunFacts;
pub use outputs::Outputs;
pub use reporter::Reporter;
pub use request_log::RequestLog;
pub use screen::color;
pub use tables::experiment as experiment_table;
