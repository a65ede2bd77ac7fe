//! The outside world: HTTP streams, processes, GPUs, clocks.
//!
//! Everything here is mechanism: it knows sockets and processes, not experiments, and it
//! knows no engine by name.

pub mod address;
pub mod clock;
pub mod container;
pub mod files;
pub mod gpu;
pub mod http;
pub mod leftovers;
pub mod limits;
pub mod logs;
pub mod machine;
mod owner;
pub mod port;
pub mod probe;
pub mod process;
pub mod program;
pub mod scratch;
pub mod secrets;
mod starter;
pub mod strays;
pub mod text;
pub mod tls;
pub mod tokenizer;
mod tree;
pub mod watchdog;

pub use tree::resident_mib;
