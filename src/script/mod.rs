//! Rhai and Rust: the only layer that knows the script language.
//!
//! A native is a thin binding: options in, one call into [`crate::core`], errors out. Scripts
//! import `std/…` (embedded from `stdlib/`), and `std/…` imports `core/…` (the natives).

mod api;
pub mod catalog;
mod check;
mod declared;
mod doctor;
mod excerpt;
mod fault;
mod habits;
mod hint;
mod host;
mod language;
mod modules;
mod options;
mod outline;
mod plot;
mod program;
mod refusal;
mod schema;
mod session;
mod source;
mod suggest;

pub use check::{Found, check};
pub use declared::{Declared, Defaults};
pub use doctor::wanted;
pub use fault::Diagnosis;
pub use host::{EngineChoice, Folders, Host, Parameters};
pub use modules::engine_kinds;
pub use outline::TestFunction;
pub use plot::save as save_figures;
pub use program::Program;
pub use session::{Reading, Session, Shown, Variable, reading};
pub use suggest::{nearest, nearest_few, neighbour, quoted};
