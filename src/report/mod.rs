//! Events into files and onto the terminal. It runs on a thread of its own and never delays a
//! request.

mod amounts;
mod braille;
pub mod checkup;
mod figures;
mod html;
mod manifest;
mod outputs;
mod pdf;
mod reporter;
mod request_log;
mod screen;
pub mod selfcheck;
mod study;
mod tables;
pub mod values;
mod written;

pub use manifest::RunFacts;
pub use outputs::{Outputs, Rows};
pub use reporter::Reporter;
pub use request_log::RequestLog;
pub use screen::{Screen, color};
pub use tables::experiment as experiment_table;
pub use written::{ReportError, write as write_report};
