//! Events into files and onto the terminal. It runs on a thread of its own and never delays a
//! request.

mod amounts;
pub mod braille;
pub mod checkup;
pub mod export;
mod figures;
mod html;
mod live;
mod manifest;
mod outputs;
mod reporter;
mod request_log;
mod rows;
mod screen;
pub mod selfcheck;
mod study;
mod tables;
mod terminal;
pub mod values;
mod verdict;
mod written;

pub use live::Watch;
pub use manifest::RunFacts;
pub use outputs::{Destination, Outputs};
pub use reporter::{MAIN, Reporter};
pub use request_log::RequestLog;
pub use rows::Rows;
pub use screen::{Screen, Verbosity, color, result_width};
pub use study::manifest_of;
pub use tables::experiment as experiment_table;
pub use written::{ReportError, write as write_report};
