//! Workloads, engines, experiments, measures: the words of the domain.
//!
//! This layer starts nothing by itself and prints nothing: it asks [`crate::driver`] and
//! sends [`Event`]s. It knows neither Rhai nor any engine by name.

mod checkup;
mod client;
mod engine;
mod engine_error;
mod event;
mod experiment;
mod fleet;
mod helper;
mod interrupts;
mod lane;
mod limits;
mod live;
pub mod load;
mod memory;
mod owned;
pub mod results;
mod row;
mod running;
mod seen;
pub mod selfcheck;
mod server;
pub mod single;
mod spec;
mod startup;
mod stats;
pub mod table;
mod units;
mod validity;
mod vram;
mod work;
pub mod workload;

pub use checkup::{Finding, State, Wanted, checkup};
pub use client::{ClientSeen, MAX_SEND_LAG_S, Spread};
pub use engine::{Engine, Readiness};
pub use engine_error::EngineError;
pub use event::{Code, Event, Outcome};
pub use experiment::{Arm, Bench, RunError, RunOptions};
pub use fleet::Fleet;
pub use helper::{Helper, HelperSpec};
pub use interrupts::Interrupts;
pub use limits::RequestLimits;
pub use live::{Counts, Live, LiveLane};
pub use memory::GpuMemory;
pub use owned::Site;
pub use row::Row;
pub use seen::{CachedShare, EngineSeen, Seen};
pub use server::{CHAT_PATH, COMPLETIONS_PATH, Server};
pub use spec::EngineSpec;
pub use stats::{Distribution, Tail, Weighted, least_n};
pub use units::{LONGEST_S, Seconds};
pub use validity::{Reason, ReasonCode, Validity, invalid};
