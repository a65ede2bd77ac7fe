//! The outside world: HTTP streams, processes, GPUs, clocks.
//!
//! This layer is mechanism. It knows sockets and processes, but no experiments, and no engine by
//! name.

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
pub mod orphans;
mod owner;
pub mod port;
pub mod probe;
mod process_id;
pub mod process_tree;
pub mod program;
pub mod scratch;
pub mod secrets;
mod spawn;
pub mod text;
pub mod tls;
pub mod tokenizer;
pub mod units;
pub mod watchdog;

pub use process_id::resident_mib;
