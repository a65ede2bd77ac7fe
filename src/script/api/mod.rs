//! The natives, one module a noun. Each is imported as `core/…` by the standard library; the
//! few that every script uses are global.

mod check;
mod engine;
mod files;
mod helper;
mod load;
mod options;
mod plot;
mod run;
mod seen;
mod table;

pub use engine::Handle;
pub use seen::{Experiment, Measure};

use super::options::fields;
use crate::bench::{EngineSpec, HelperSpec, RunOptions};
use rhai::Module;

/// The natives that need no import.
pub const GLOBALS: [&str; 8] = ["run", "start", "scratch", "param", "env", "sleep", "print", "debug"];

/// Makes types and global natives known.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(run::module().into());
    engine.register_global_module(engine::types().into());
    engine.register_global_module(helper::types().into());
    engine.register_global_module(load::types().into());
    engine.register_global_module(seen::types().into());
    engine.register_global_module(table::types().into());
}

/// The module behind `core/…`.
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

/// Which argument of a native is an options map, and its keys. `first` is its first argument where that
/// is a literal text.
pub fn options(module: &str, name: &str, first: Option<&str>) -> Option<(usize, Vec<&'static str>)> {
    Some(match (module, name) {
        ("core/engine", "spec") => (1, fields::<EngineSpec>().to_vec()),
        ("core/helper", "spec") => (1, fields::<HelperSpec>().to_vec()),
        ("core/load", "workload") => (1, load::keys(first?)?),
        ("core/load", "custom" | "trace") => (1, load::keys(name)?),
        ("core/run", "run") => (2, fields::<RunOptions>().to_vec()),
        ("core/run", "start") => (0, fields::<HelperSpec>().to_vec()),
        _ => return None,
    })
}
