//! `lmrun` runs end-to-end tests of LLM serving engines.
//!
//! The layers, imports pointing down only:
//!
//! ```text
//! cli        words, flags, exit codes
//!  |  \
//! script  report     Rhai <-> Rust | events -> CSV, tables
//!  |  /
//! core       workloads, engines, experiments, results
//!  |
//! driver     HTTP streams, processes, GPUs
//! figure     descriptions of figures, drawn to SVG
//! sim        the built-in engine, with its HTTP face
//! stats      percentiles, for all layers
//! ```

pub mod cli;
pub mod core;
pub mod driver;
pub mod figure;
pub mod report;
pub mod script;
pub mod sim;
pub mod stats;
