//! Mistakes that can be found without running a script: what is called and not there, with other arguments than
//! it takes, or with options that it does not know or does not read. And what is no mistake for certain: what
//! is never used, functions that Rhai may take for each other, and divisions that may lose a remainder.

mod calls;
mod divisions;
mod known;
mod options;
mod reach;
mod signature;
#[cfg(test)]
mod tests;
mod texts;
mod twins;
mod unused;

use super::diagnostic::{Diagnostic, Place, ScriptError};
use super::modules::Modules;
use super::program::Program;
use super::source::{ScriptSource, ScriptSources, shadowing};
use known::Known;
use miette::Severity;
use reach::Names;
use rhai::Position;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What was found, and where it is.
struct Finding {
    position: Position,
    severity: Severity,
    fault: ScriptError,
}

impl Finding {
    /// What fails when it is run.
    fn mistake(position: Position, fault: ScriptError) -> Self {
        Self {
            position,
            severity: Severity::Error,
            fault,
        }
    }

    /// What may be as it is meant.
    fn warning(position: Position, fault: ScriptError) -> Self {
        Self {
            position,
            severity: Severity::Warning,
            fault,
        }
    }

    /// The finding without a drawing: place, problem, remedy.
    fn in_one_line(&self, source: &ScriptSource) -> String {
        let place = Place {
            file: source.title.clone(),
            position: self.position,
        };
        let help = self
            .fault
            .help
            .as_ref()
            .map(|help| format!(" ({help})"))
            .unwrap_or_default();
        format!("{place}: {}{help}", self.fault.message)
    }
}

/// What was found in a script, as people see it.
pub struct Found {
    /// Whether it fails when it is run; else it is a warning.
    pub is_mistake: bool,
    /// The drawing.
    pub drawing: String,
}

/// What is found in scripts and in what they import; what several of them import is told once.
pub fn check(paths: &[PathBuf], color: bool) -> Vec<Found> {
    let named: Vec<BTreeSet<String>> = paths.iter().map(|path| names_in(path)).collect();
    let beside = |at: usize| {
        let others = named
            .iter()
            .enumerate()
            .filter(move |(other, _)| *other != at);
        others.flat_map(|(_, names)| names).cloned().collect()
    };
    let of = |(at, path): (usize, &PathBuf)| {
        diagnoses(path, &beside(at)).unwrap_or_else(|refused| vec![(Severity::Error, *refused)])
    };
    let draw = |(severity, diagnosis): (Severity, Diagnostic)| Found {
        is_mistake: severity == Severity::Error,
        drawing: diagnosis.draw_as(severity, Modules::source, color),
    };
    let mut drawn = BTreeSet::new();
    let found = paths.iter().enumerate().flat_map(of).map(draw);
    found
        .filter(|found| drawn.insert(found.drawing.clone()))
        .collect()
}

/// Returns warnings before a run of the script `title`, whose imports are relative to `folder`: of mistakes
/// that may make its results wrong or useless.
pub fn warnings(title: &str, text: &str, folder: &Path) -> Vec<String> {
    let mut sources = ScriptSources::empty(folder);
    let loaded =
        ScriptSource::parse(title, text).is_ok_and(|source| sources.add(title, source).is_ok());
    if !loaded {
        // Compile errors are reported when the script is run.
        return Vec::new();
    }
    let divisions = sources.own().flat_map(|(_, source)| {
        divisions::of(source)
            .into_iter()
            .map(|finding| finding.in_one_line(source))
            .collect::<Vec<_>>()
    });
    twins::warning(&sources)
        .into_iter()
        .chain(divisions)
        .collect()
}

/// The names that a script mentions; none where it cannot be read, which is told when it is looked at.
fn names_in(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    ScriptSource::parse("", &text)
        .map(|source| Names::of(&source.ast).all)
        .unwrap_or_default()
}

/// `beside` are the names in the other scripts that are looked at.
fn diagnoses(
    path: &Path,
    beside: &BTreeSet<String>,
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
    let found = sources.own().flat_map(|(path, source)| {
        let mut found = of_source(&sources, &modules, &title, path, source);
        if path == title {
            found.extend(unused::functions(&sources, path, source, beside));
        }
        placed(source, found)
    });
    Ok(found.collect())
}

/// What is found in one script. `main` is the one that is run: what it imports can call its functions.
fn of_source(
    sources: &ScriptSources,
    modules: &Modules,
    main: &str,
    path: &str,
    source: &ScriptSource,
) -> Vec<Finding> {
    let known = Known::new(sources, main, path, source);
    let missing = source.imports.values().filter_map(|import| {
        Some(Finding::mistake(
            import.position,
            modules.missing(&import.path)?,
        ))
    });
    let shadowing = shadowing(&source.ast, &source.text);
    let mut found: Vec<Finding> = missing.collect();
    found.extend(shadowing.map(|(position, fault)| Finding::mistake(position, fault)));
    found.extend(
        calls::of(source)
            .iter()
            .flat_map(|call| known.mistakes_of(call)),
    );
    found.extend(unused::tests(source));
    found.extend(unused::imports(source));
    found.extend(texts::of(source));
    found.extend(divisions::of(source));
    found.extend(twins::of(sources, path, source));
    found
}

/// The findings in a script, in their order.
fn placed(source: &ScriptSource, mut found: Vec<Finding>) -> Vec<(Severity, Diagnostic)> {
    found.sort_by_key(|finding| (finding.position.line(), finding.position.position()));
    let place = |position| Place {
        file: source.title.clone(),
        position,
    };
    let diagnosis = |finding: Finding| {
        (
            finding.severity,
            Diagnostic::at(place(finding.position), finding.fault),
        )
    };
    found.into_iter().map(diagnosis).collect()
}
