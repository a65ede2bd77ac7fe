//! Result files read back: the CSVs that a run left, and those of LMCache's Python tests.
//!
//! Only parsing: nothing here knows what is made of the rows.

mod error;
mod read;
mod record;

#[cfg(test)]
mod tests;

pub use error::{ResultsError, expected};
pub use read::{COLUMNS_OF_THE_ORIGINAL, Results, is_result, parse, read};
pub use record::{GpuMemory, Record};
