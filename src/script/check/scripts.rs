//! The check of whole scripts: `lmrun check`, and the warnings before a run.

use super::finding::ScriptFinding;
use super::reachability::MentionedNames;
use super::symbols::Symbols;
use super::{calls, divisions, interpolation, name_clash, unused};
use crate::script::diagnostic::{Diagnostic, Place};
use crate::script::modules::Modules;
use crate::script::program::Program;
use crate::script::source::{ScriptSource, ScriptSources, shadowing};
use miette::Severity;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A finding in a script, ready to print.
pub(crate) struct CheckedScript {
    /// True if the script fails when it runs the code; false for a warning.
    pub(crate) is_mistake: bool,
    /// The message with an excerpt of the script.
    pub(crate) drawing: String,
}

/// Returns the findings in the scripts and in their imports. A finding in an import of several
/// scripts is returned once.
pub(crate) fn check(paths: &[PathBuf], color: bool) -> Vec<CheckedScript> {
    let names: Vec<BTreeSet<String>> = paths.iter().map(|path| names_in(path)).collect();
    let mut drawn = BTreeSet::new();
    let mut found = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        let mut other_names = BTreeSet::new();
        for (other, names) in names.iter().enumerate() {
            if other != at {
                other_names.extend(names.iter().cloned());
            }
        }
        let diagnoses =
            diagnoses(path, &other_names).unwrap_or_else(|error| vec![(Severity::Error, *error)]);
        for (severity, diagnosis) in diagnoses {
            let drawing = diagnosis.draw_as(severity, Modules::source, color);
            if drawn.insert(drawing.clone()) {
                found.push(CheckedScript {
                    is_mistake: severity == Severity::Error,
                    drawing,
                });
            }
        }
    }
    found
}

/// Returns warnings before a run of the script `title`, whose imports are relative to `folder`: of
/// mistakes that may make its results wrong or useless.
pub(crate) fn warnings(title: &str, text: &str, folder: &Path) -> Vec<String> {
    let mut sources = ScriptSources::empty(folder);
    let loaded =
        ScriptSource::parse(title, text).is_ok_and(|source| sources.add(title, source).is_ok());
    if !loaded {
        // Compile errors are reported when the script is run.
        return Vec::new();
    }
    let mut warnings: Vec<String> = name_clash::warning(&sources).into_iter().collect();
    for (_, source) in sources.own() {
        warnings.extend(
            divisions::find(source)
                .iter()
                .map(|finding| finding.line(source)),
        );
    }
    warnings
}

/// The names that a script mentions. Returns none if the script cannot be read, which is reported
/// when it is checked.
fn names_in(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    ScriptSource::parse("", &text)
        .map(|source| MentionedNames::in_code(&source.ast).all)
        .unwrap_or_default()
}

/// The findings in a script and its imports. `other_names` are the names in the other checked
/// scripts.
fn diagnoses(
    path: &Path,
    other_names: &BTreeSet<String>,
) -> Result<Vec<(Severity, Diagnostic)>, Box<Diagnostic>> {
    let program = Program::load(path)?;
    let title = path.display().to_string();
    let broken = |(file, error): (String, Box<rhai::EvalAltResult>)| {
        Box::new(Diagnostic::from_error(&error, &file))
    };
    let source = ScriptSource::parse(&title, program.text())
        .map_err(|error| broken((title.clone(), error)))?;
    let mut sources = ScriptSources::new(program.folder());
    sources.add(&title, source).map_err(broken)?;
    let modules = Modules::new(program.folder());
    let mut diagnoses = Vec::new();
    for (path, source) in sources.own() {
        let symbols = Symbols::new(&sources, &title, path, source);
        let mut found = findings(&symbols, &modules);
        if path == title {
            found.extend(unused::functions(&symbols, other_names));
        }
        found.sort_by_key(|finding| (finding.position.line(), finding.position.position()));
        for finding in found {
            let place = Place {
                file: source.title.clone(),
                position: finding.position,
            };
            diagnoses.push((finding.severity, Diagnostic::at(place, finding.fault)));
        }
    }
    Ok(diagnoses)
}

/// The findings in one script, in no order.
fn findings(symbols: &Symbols<'_>, modules: &Modules) -> Vec<ScriptFinding> {
    let source = symbols.source;
    let mut found = Vec::new();
    for import in source.imports.values() {
        if let Some(fault) = modules.missing(&import.path) {
            found.push(ScriptFinding::mistake(import.position, fault));
        }
    }
    if let Some((position, fault)) = shadowing(&source.ast, &source.text) {
        found.push(ScriptFinding::mistake(position, fault));
    }
    for call in calls::find(source) {
        found.extend(symbols.mistakes(&call));
    }
    found.extend(unused::tests(source));
    found.extend(unused::imports(source));
    found.extend(interpolation::find(source));
    found.extend(divisions::find(source));
    found.extend(name_clash::find(symbols.sources, symbols.path, source));
    found
}
