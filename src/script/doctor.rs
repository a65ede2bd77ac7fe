//! What the library says is to be looked for on a machine.

use super::language::compiler;
use super::modules::Modules;
use crate::core::Wanted;
use rhai::serde::from_dynamic;
use rhai::{Dynamic, EvalAltResult, Scope};

/// The programs that some tests need.
///
/// # Errors
/// When the embedded script is wrong, which a test would have found.
pub fn wanted() -> Result<Vec<Wanted>, Box<EvalAltResult>> {
    let engine = compiler();
    let text = Modules::source("std/doctor").unwrap_or_default();
    let ast = engine
        .compile(text)
        .map_err(|e| EvalAltResult::ErrorParsing(*e.0, e.1))?;
    from_dynamic(&engine.call_fn::<Dynamic>(&mut Scope::new(), &ast, "programs", ())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_can_be_used() {
        let wanted = wanted().expect("the list");
        assert!(wanted.len() > 3);
        for program in wanted {
            assert!(
                regex::Regex::new(&program.version).is_ok() && !program.command.is_empty(),
                "{program:?}"
            );
        }
    }
}
