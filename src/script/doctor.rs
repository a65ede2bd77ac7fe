//! The programs that `lmrun doctor` looks for, as `std/doctor` lists them.

use super::language::compiler;
use super::modules::Modules;
use crate::core::DoctorProgram;
use rhai::serde::from_dynamic;
use rhai::{Dynamic, EvalAltResult, Scope};

/// Returns the programs that some tests need.
///
/// # Errors
/// If the embedded script is wrong. A test rules that out.
pub(crate) fn doctor_programs() -> Result<Vec<DoctorProgram>, Box<EvalAltResult>> {
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
        let programs = doctor_programs().expect("the list");
        assert!(programs.len() > 3);
        for program in programs {
            assert!(
                regex::Regex::new(&program.version).is_ok() && !program.command.is_empty(),
                "{program:?}"
            );
        }
    }
}
