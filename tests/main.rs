//! The tests of the whole program.
//!
//! Each file beside this one is a module with `#[test]` functions. Tests that need programs or rights which a
//! machine may lack are in `needs/`, as the built-in harness cannot ignore a test at run time.

mod common;

mod analysis;
mod api;
mod book;
mod check;
mod command_line;
mod doctor;
mod engines;
mod errors;
mod faults;
mod helpers;
mod laws;
mod load;
mod mistakes;
mod original;
mod ownership;
mod remote;
mod repl;
mod report;
mod resources;
mod results;
mod run;
mod screen;
mod selfcheck;
mod shutdown;
mod untrusted;
mod validity;
mod workloads;
