//! `core/check`: claims.

use super::measure::{self, Measure};
use crate::script::fault::Fault;
use crate::script::host::Host;
use crate::script::refusal::in_words;
use rhai::plugin::*;
use rhai::{Dynamic, EvalAltResult, Module, NativeCallContext};

/// The module `core/check`.
pub fn module() -> Module {
    exported_module!(natives)
}

fn measured(value: Dynamic) -> Result<Measure, Fault> {
    let found = in_words(&value);
    value.try_cast::<Measure>().ok_or_else(|| {
        Fault::new(format!("`check::faster` takes measures, not {found}"))
            .help("give it those of two engines, such as `seen[a].ttft` and `seen[b].ttft`")
    })
}

/// Claims.
#[export_module]
mod natives {
    /// Notes whether a claim holds; returns it. A claim that does not hold fails the test at its
    /// end, so that the test's further measurements are made all the same.
    pub fn note(context: NativeCallContext, holds: bool, claim: &str) -> bool {
        Host::of(&context).check(holds, claim.into());
        holds
    }

    /// Notes whether the median of `seen` is better than that of `than`, `at_least` times; returns it.
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

    /// `number` with `digits` digits that count, as people write it.
    pub fn short(number: f64, digits: i64) -> String {
        measure::short(number, digits)
    }
}
