//! Output: files and screens of a run, reports and exports of results. The reporter of a run has
//! its own thread and never delays a request.

mod aggregate;
pub mod braille;
pub mod doctor;
pub mod export;
mod figures;
mod generate;
mod html;
mod live;
mod manifest;
mod outcome;
mod outputs;
mod reporter;
mod request_log;
mod rows;
mod screen;
pub mod selfcheck;
mod tables;
mod terminal;
mod test_results;
pub mod values;

pub use generate::{ReportError, write_report};
pub use live::Watch;
pub use manifest::RunFacts;
pub use outputs::{Destination, Outputs};
pub use reporter::{MAIN, Reporter};
pub use request_log::RequestLog;
pub use rows::Rows;
pub use screen::{Screen, Verbosity, color, result_width};
pub use tables::experiment as experiment_table;
pub(crate) use test_results::read_manifest;
