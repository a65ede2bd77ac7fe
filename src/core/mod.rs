//! Workloads, engines, experiments and results.
//!
//! This layer prints nothing and opens no connection itself: it calls [`crate::driver`] and sends
//! [`Event`]s. It knows neither Rhai nor any engine by name.

mod doctor;
pub(crate) mod engine;
pub mod result;
pub mod run;
pub mod selfcheck;
pub mod workload;

pub use crate::driver::http::RequestLimits;
pub use crate::driver::units::{MAX_SECONDS, Seconds};
pub use crate::stats::Distribution;
pub(crate) use crate::stats::{RepeatedValues, Tail, least_n};
pub use doctor::{DoctorProgram, Finding, FindingState, diagnose};
pub use engine::error::EngineError;
pub use engine::fleet::Fleet;
pub use engine::helper::{Helper, HelperSpec};
pub(crate) use engine::server::Server;
pub use engine::service::ServiceContext;
pub use engine::spec::EngineSpec;
pub use engine::started::Engine;
pub use result::client_health::{ClientHealth, MAX_SEND_LAG_S, Spread};
pub use result::experiment_result::{CachedShare, EngineResult, ExperimentResult};
pub use result::row::Row;
pub use result::validity::{Reason, ReasonCode, Validity, invalid};
pub(crate) use run::client::{Client, Measurement};
pub use run::event::{Code, Event, Outcome};
pub(crate) use run::event::{ExperimentStart, StartedEngine};
pub(crate) use run::experiment::ExperimentPlan;
pub(crate) use run::experiment::{Arm, Runner};
pub use run::experiment::{RunError, RunOptions};
pub(crate) use run::interrupts::Interrupts;
pub use run::progress::EngineProgress;
pub(crate) use run::test_run::TestRun;
