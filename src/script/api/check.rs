//! `core/check`: checks.

use super::measure::{self, Measure};
use crate::script::diagnostic::ScriptError;
use crate::script::host::Host;
use crate::script::option_error::in_words;
use rhai::plugin::*;
use rhai::{Dynamic, EvalAltResult, Module, NativeCallContext};

/// Returns the module `core/check`.
pub(crate) fn module() -> Module {
    exported_module!(natives)
}

fn measured(value: Dynamic) -> Result<Measure, ScriptError> {
    let found = in_words(&value);
    value.try_cast::<Measure>().ok_or_else(|| {
        ScriptError::new(format!(
            "`check::faster`: expected a measure, found {found}"
        ))
        .help("give it a measure of two engines, such as `seen[a].ttft` and `seen[b].ttft`")
    })
}

/// Checks.
#[export_module]
mod natives {
    /// Records the result of a check and returns it. A failed check fails the test at its end, so
    /// that the test continues to measure.
    pub fn note(context: NativeCallContext, holds: bool, claim: &str) -> bool {
        Host::of(&context).check(holds, claim.into());
        holds
    }

    /// Checks that the median of `seen` is better than that of `than` by the factor `at_least`.
    #[rhai_fn(return_raw)]
    pub fn faster(
        context: NativeCallContext,
        seen: Dynamic,
        than: Dynamic,
        at_least: f64,
    ) -> Result<bool, Box<EvalAltResult>> {
        let (holds, claim) = measure::faster(&measured(seen)?, &measured(than)?, at_least)?;
        Ok(note(context, holds, &claim))
    }

    /// Formats `number` with `digits` significant digits.
    pub fn short(number: f64, digits: i64) -> String {
        measure::short(number, digits)
    }
}
