//! Results: the row of a request, the result of an experiment, and the reading of both from files.

pub(crate) mod client_health;
pub(crate) mod columns;
mod error;
pub(crate) mod experiment_result;
pub(crate) mod from_exchange;
mod read;
pub(crate) mod row;
pub(crate) mod same_work;
pub mod table;
pub(crate) mod validity;

pub use error::ResultsError;
pub(crate) use error::expected;
pub use read::{Results, is_result, parse, read};
pub use row::Status;
