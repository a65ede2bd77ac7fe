//! Rhai and Rust: the only layer that knows the script language.
//!
//! A native is a thin binding: options in, one call into [`crate::bench`], errors out. Scripts
//! import `std/…` (embedded from `stdlib/`), and `std/…` imports `core/…` (the natives).

mod api;
mod doctor;
mod fault;
mod host;
mod language;
mod modules;
mod options;
mod outline;
mod plot;
mod program;
mod suggest;

pub use doctor::wanted;
pub use fault::Diagnosis;
pub use host::{EngineChoice, Host, Parameters};
pub use modules::engine_kinds;
pub use outline::TestFunction;
pub use program::Program;
pub use suggest::nearest;
