//! The natives, one module for each noun. The library imports them as `core/…`; the few that every
//! script uses are global.

mod check;
mod engine;
mod files;
mod helper;
mod load;
mod measure;
mod numbers;
mod options;
mod plot;
mod run;
mod seen;
mod sizes;
mod table;

pub(crate) use engine::Handle;
pub(crate) use load::refused as refused_by_generator;
pub(crate) use measure::Measure;
pub(crate) use numbers::{module as numbers, remainder};
pub(crate) use plot::save_figures;
pub(crate) use seen::Experiment;
pub(crate) use sizes::module as sizes;

use super::schema::Schema;
use crate::core::workload::GivenRequest;
use crate::core::{EngineSpec, HelperSpec, RunOptions};
use crate::driver::container::ContainerSpec;
use rhai::Module;

/// The natives that need no import.
pub const GLOBALS: [&str; 9] = [
    "run",
    "start",
    "scratch",
    "param",
    "env",
    "sleep",
    "print",
    "debug",
    "div_floor",
];

/// Registers the types and the global natives.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(numbers().into());
    engine.register_global_module(run::module().into());
    engine.register_global_module(engine::types().into());
    engine.register_global_module(helper::types().into());
    engine.register_global_module(load::types().into());
    engine.register_global_module(seen::types().into());
    engine.register_global_module(table::types().into());
}

/// Returns the module with the import path `core/…`.
pub fn native(path: &str) -> Option<Module> {
    Some(match path {
        "core/check" => check::module(),
        "core/engine" => engine::module(),
        "core/files" => files::module(),
        "core/helper" => helper::module(),
        "core/load" => load::module(),
        "core/options" => options::module(),
        "core/plot" => plot::module(),
        "core/run" => run::module(),
        "core/table" => table::module(),
        _ => return None,
    })
}

/// Returns the schemas of the options that a native takes as its argument `position`. `first` is
/// its first argument if that is a literal string.
pub fn options(
    module: &str,
    name: &str,
    position: usize,
    first: Option<&str>,
) -> Option<Vec<Schema>> {
    Some(match (module, name, position) {
        ("core/engine", "spec", 1) => vec![Schema::of::<EngineSpec>()],
        ("core/engine", "container", 0) => vec![Schema::of::<ContainerSpec>()],
        ("core/helper", "spec", 1) | ("core/run", "start", 0) => vec![Schema::of::<HelperSpec>()],
        ("core/load", "workload", 1) => load::schemas(first?)?,
        ("core/load", "custom", 0) => vec![Schema::of::<GivenRequest>()],
        ("core/load", "custom" | "trace", 1) => load::schemas(name)?,
        ("core/plot", _, 0) => plot::schemas(name)?,
        ("core/run", "run", 2) => vec![Schema::of::<RunOptions>()],
        _ => return None,
    })
}
