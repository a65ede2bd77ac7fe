//! `core/check`: claims.

use crate::script::host::Host;
use rhai::plugin::*;
use rhai::{Module, NativeCallContext};

/// The module `core/check`.
pub fn module() -> Module {
    exported_module!(natives)
}

/// Claims.
#[export_module]
mod natives {
    /// Notes whether a claim holds; returns it. A claim that does not hold fails the test at its
    /// end, so that the test's further measurements are made all the same.
    pub fn note(context: NativeCallContext, holds: bool, claim: &str) -> bool {
        Host::of(&context).bench().check(holds, claim.into());
        holds
    }

    /// `number` with `digits` digits that count, as people write it.
    pub fn short(number: f64, digits: i64) -> String {
        let magnitude = if number == 0.0 { 0 } else { number.abs().log10().floor() as i64 };
        let decimals = (digits - 1 - magnitude).clamp(0, 9) as usize;
        format!("{number:.decimals$}")
    }
}
