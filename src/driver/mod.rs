//! The outside world: HTTP streams, processes, GPUs, clocks.
//!
//! This layer is mechanism. It knows sockets and processes, but no experiments, and no engine by
//! name.

pub(crate) mod address;
pub mod clock;
pub(crate) mod container;
pub(crate) mod files;
pub(crate) mod gpu;
pub mod http;
pub(crate) mod leftovers;
pub(crate) mod limits;
pub(crate) mod logs;
pub(crate) mod machine;
pub(crate) mod orphans;
mod owner;
pub(crate) mod port;
pub(crate) mod probe;
mod process_id;
pub mod process_tree;
pub mod program;
pub(crate) mod scratch;
pub(crate) mod secrets;
mod spawn;
pub(crate) mod text;
pub(crate) mod tls;
pub mod tokenizer;
pub(crate) mod units;
pub mod watchdog;

pub(crate) use process_id::resident_mib;
