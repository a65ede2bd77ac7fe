//! Mistakes that can be found without running a script: what is called and not there, with other
//! arguments than it takes, or with options that it does not know; tests that are never run.

mod calls;
mod known;
mod twins;
mod unused;

use super::fault::{Diagnosis, Fault, Place};
use super::modules::Modules;
use super::program::Program;
use super::source::{Source, Sources, shadowing};
use known::Known;
use rhai::Position;
use std::path::Path;

/// A mistake, and where it is.
struct Finding {
    position: Position,
    fault: Fault,
}

/// The mistakes of a script and of what it imports, drawn.
pub fn check(path: &Path, color: bool) -> Vec<String> {
    let draw = |diagnosis: Diagnosis| diagnosis.draw(Modules::source, color);
    match diagnoses(path) {
        Ok(found) => found.into_iter().map(draw).collect(),
        Err(refused) => vec![draw(*refused)],
    }
}

fn diagnoses(path: &Path) -> Result<Vec<Diagnosis>, Box<Diagnosis>> {
    let program = Program::load(path)?;
    let title = path.display().to_string();
    let broken = |(file, error): (String, Box<rhai::EvalAltResult>)| Box::new(Diagnosis::of(&error, &file));
    let source = Source::parse(&title, program.text()).map_err(|error| broken((title.clone(), error)))?;
    let mut sources = Sources::new(program.folder());
    sources.add(&title, source).map_err(broken)?;
    let modules = Modules::new(program.folder());
    let own = sources.all().filter(|(path, _)| !path.starts_with("std/"));
    Ok(own.flat_map(|(path, source)| of_source(&sources, &modules, &title, path, source)).collect())
}

/// The mistakes of one script. `main` is the one that is run: what it imports can call its functions.
fn of_source(
    sources: &Sources,
    modules: &Modules,
    main: &str,
    path: &str,
    source: &Source,
) -> Vec<Diagnosis> {
    let known = Known::new(sources, main, path, source);
    let missing = source.imports.values().filter_map(|import| {
        Some(Finding { position: import.position, fault: modules.missing(&import.path)? })
    });
    let shadowing = shadowing(&source.ast, &source.text).map(|(position, fault)| Finding { position, fault });
    let mut found: Vec<Finding> = missing.chain(shadowing).collect();
    found.extend(calls::of(source).iter().flat_map(|call| known.mistakes_of(call)));
    found.extend(unused::tests(source));
    found.extend(twins::of(sources, path, source));
    found.sort_by_key(|finding| (finding.position.line(), finding.position.position()));
    let place = |position| Place { file: source.title.clone(), position };
    found.into_iter().map(|finding| Diagnosis::at(place(finding.position), finding.fault)).collect()
}

#[cfg(test)]
mod tests;
