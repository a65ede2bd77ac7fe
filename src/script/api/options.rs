//! `core/options`: options maps with checked keys and values.

use crate::script::diagnostic::ScriptError;
use crate::script::options;
use rhai::plugin::*;
use rhai::{Array, EvalAltResult, Map, Module};

/// The module `core/options`.
pub(crate) fn module() -> Module {
    exported_module!(natives)
}

/// Options maps with checked keys and values.
#[export_module]
mod natives {
    /// The `given` options of `function`, with a default for each option that is not given. An
    /// unknown key and a value of another type are errors.
    ///
    /// An entry of `declared` is a default, or a map with `doc` and optionally `value`, `type` or
    /// `options`.
    ///
    /// ```rhai
    /// let o = options::fill("mine::engine", #{ gpu: 1 }, #{ gpu: 0, slots: #{ value: 4, doc: "Slots." } });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fill(function: &str, given: Map, declared: Map) -> Result<Map, Box<EvalAltResult>> {
        Ok(options::fill(function, &given, &declared)?)
    }

    /// Fails the test with a problem and advice.
    ///
    /// ```rhai
    /// options::refuse("`openai::engine` needs the option `url`", "set `url`");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn refuse(problem: &str, help: &str) -> Result<(), Box<EvalAltResult>> {
        Err(ScriptError::new(problem).help(help).into())
    }

    /// A map of flags as words of a command. `true` is a flag without a value.
    ///
    /// ```rhai
    /// options::flags(#{ "enforce-eager": true, seed: 1 }); // ["--enforce-eager", "--seed", "1"]
    /// ```
    pub fn flags(flags: Map) -> Array {
        let mut words = Array::new();
        for (name, value) in flags {
            words.push(format!("--{name}").into());
            if !matches!(value.as_bool(), Ok(true)) {
                words.push(value.to_string().into());
            }
        }
        words
    }
}
