//! Results: the row of a request, the result of an experiment, their statistics, and reading them back.

pub(crate) mod client_health;
mod error;
pub(crate) mod experiment_result;
mod read;
mod record;
pub(crate) mod row;
pub(crate) mod same_work;
pub mod table;
pub(crate) mod validity;

pub use error::{ResultsError, expected};
pub use read::{COLUMNS_OF_THE_ORIGINAL, Results, is_result, parse, read};
pub use record::{GpuMemory, Record};
