//! `core/options`: checked options maps.

use crate::script::options;
use rhai::plugin::*;
use rhai::{EvalAltResult, Map, Module};

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
}
