//! `core/options`: checked options maps.

use crate::script::diagnostic::ScriptError;
use crate::script::options;
use rhai::plugin::*;
use rhai::{Array, Dynamic, EvalAltResult, Map, Module};

/// The module `core/options`.
pub fn module() -> Module {
    exported_module!(natives)
}

/// Checked options maps.
#[export_module]
mod natives {
    /// `defaults` with what is `given` in their place; an unknown key is an error.
    ///
    /// `function` is whose options they are, as its caller writes it.
    ///
    /// ```rhai
    /// let o = options::fill("vllm::engine", #{ gpu: 1 }, #{ gpu: 0, model: "m" });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fill(function: &str, given: Map, defaults: Map) -> Result<Map, Box<EvalAltResult>> {
        Ok(options::fill(function, &given, &defaults)?)
    }

    /// Ends the test with what is wrong and what to do about it.
    ///
    /// ```rhai
    /// options::refuse("`openai::engine` has no address", "give `url`");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn refuse(problem: &str, help: &str) -> Result<(), Box<EvalAltResult>> {
        Err(ScriptError::new(problem).help(help).into())
    }

    /// A map of flags as words of a command: `true` is a flag without a value.
    ///
    /// ```rhai
    /// options::flags(#{ "enforce-eager": true, seed: 1 }); // ["--enforce-eager", "--seed", "1"]
    /// ```
    pub fn flags(flags: Map) -> Array {
        let words = flags.into_iter().flat_map(|(name, value)| {
            let name = format!("--{name}");
            if value.is_bool() && value.as_bool() == Ok(true) {
                vec![name]
            } else {
                vec![name, value.to_string()]
            }
        });
        words.map(Dynamic::from).collect()
    }
}
