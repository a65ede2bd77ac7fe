//! The programs that `lmrun doctor` looks for, as `std/doctor` lists them.

use super::language::compiler;
use super::modules::Modules;
use crate::core::Wanted;
use rhai::serde::from_dynamic;
use rhai::{Dynamic, EvalAltResult, Scope};

/// Returns the programs that some tests need.
///
/// # Errors
/// If the embedded script is wrong. A test rules that out.
pub(crate) fn wanted() -> Result<Vec<Wanted>, Box<EvalAltResult>> {
    let engine = compiler();
    let text = Modules::source("std/doctor").unwrap_or_default();
    let ast = engine.compile(text)?;
    from_dynamic(&engine.call_fn::<Dynamic>(&mut Scope::new(), &ast, "programs", ())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_patterns_compile() {
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
