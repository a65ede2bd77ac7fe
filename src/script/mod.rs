//! The script language: the only layer that knows Rhai.
//!
//! A native is a thin binding: it reads options, calls [`crate::core`] once and converts errors.
//! Scripts import `std/…` (embedded from `stdlib/`), which imports `core/…` (the natives).

mod api;
pub(crate) mod catalog;
mod check;
mod common_options;
mod diagnostic;
mod doctor;
mod excerpt;
mod find_parameters;
mod hints;
mod host;
mod language;
mod modules;
mod option_error;
mod option_key;
mod options;
mod outline;
mod parameters;
mod program;
mod schema;
mod session;
mod short_forms;
mod source;
mod suggest;

pub(crate) use api::save_figures;
pub(crate) use check::check;
pub(crate) use diagnostic::Diagnostic;
pub(crate) use doctor::doctor_programs;
pub(crate) use find_parameters::ScriptParameters;
pub(crate) use host::{EngineChoice, Folders, Host, HostSettings};
pub(crate) use modules::engine_kinds;
pub(crate) use outline::TestFunction;
pub(crate) use parameters::Parameters;
pub(crate) use program::Program;
pub(crate) use session::{InputState, PromptValue, Session, Variable, input_state};
pub(crate) use suggest::{nearest, nearest_few, neighbour, quoted};
