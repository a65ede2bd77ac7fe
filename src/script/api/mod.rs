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
