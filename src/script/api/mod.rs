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
pub(crate) use load::generator_error;
pub(crate) use measure::Measure;
pub(crate) use numbers::{module as numbers, remainder};
pub(crate) use plot::save_figures;
pub(crate) use seen::Experiment;
pub(crate) use sizes::module as sizes;

use super::option_key::OptionKey;
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

/// The options of the parameter at `position` of a native, or of a function of the library that only
/// passes them on to a native.
pub(crate) fn options(path: &str, name: &str, position: usize) -> Option<Vec<OptionKey>> {
    let schema = match (path, name, position) {
        ("std/load", "custom", 0) => Schema::new::<GivenRequest>(),
        ("std/load", "custom" | "trace", 1) | ("std/load", _, 0) => return load::options(name),
        ("std/plot", _, 0) => return plot::options(name),
        ("core/engine", "spec", 1) => Schema::new::<EngineSpec>(),
        ("std/container", "of", 0) | ("core/engine", "container", 0) => {
            Schema::new::<ContainerSpec>()
        }
        ("std/helper", "command", 0) | ("core/helper", "spec", 1) | ("core/run", "start", 0) => {
            Schema::new::<HelperSpec>()
        }
        ("core/run", "run", 2) => Schema::new::<RunOptions>(),
        _ => return None,
    };
    Some(schema.options())
}

/// The options that the functions of a module share, each group with its title. The module explains
/// them.
pub(crate) fn shared_options(path: &str) -> Vec<(&'static str, Vec<OptionKey>)> {
    match path {
        "std/container" => vec![(
            "Options of `container`",
            Schema::new::<ContainerSpec>().options(),
        )],
        "std/load" => load::shared_options(),
        "std/plot" => vec![("Options", plot::options("lines").unwrap_or_default())],
        _ => Vec::new(),
    }
}
