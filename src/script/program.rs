//! A script: loaded, listed, and its tests run one by one.

use super::catalog::Catalog;
use super::check::warning_of_twins;
use super::fault::{Diagnosis, Place};
use super::host::Host;
use super::language::{compiler, interpreter};
use super::modules::Modules;
use super::outline::{self, TestFunction};
use super::source::shadowing;
use super::suggest::{nearest, neighbour};
use crate::bench::{Code, Event, Outcome};
use rhai::{AST, Dynamic, EvalAltResult, Scope};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

/// A compiled script.
pub struct Program {
    name: String,
    folder: PathBuf,
    text: String,
    ast: AST,
    tests: Vec<TestFunction>,
}

impl Program {
    /// Reads and compiles a script. Nothing of it is run.
    ///
    /// # Errors
    /// When there is no such script, or it does not compile.
    pub fn load(path: &Path) -> Result<Self, Diagnosis> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| {
            let nearby = neighbour(path).map(|near| format!("did you mean `{}`?", near.display()));
            Diagnosis::plain(format!("cannot read the script `{name}`: {e}"), nearby)
        })?;
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let mut ast = compiler().compile(&text).map_err(|e| {
            let error = EvalAltResult::ErrorParsing(*e.0, e.1);
            Diagnosis::of(&error, &name)
        })?;
        if let Some((position, fault)) = shadowing(&ast, &text) {
            return Err(Diagnosis::at(Place { file: name, position }, fault));
        }
        ast.set_source(name.as_str());
        let tests = outline::tests(&ast, &text);
        Ok(Self { name, folder, text, ast, tests })
    }

    /// Its test functions, in their order.
    pub fn tests(&self) -> &[TestFunction] {
        &self.tests
    }

    /// The folder that its imports and paths are relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What to say before it is run of functions that Rhai may take for each other.
    pub fn warning(&self) -> Option<String> {
        warning_of_twins(&self.name, &self.text, &self.folder)
    }

    /// Draws an error in this script, or in what it imports.
    pub fn draw(&self, diagnosis: &Diagnosis, color: bool) -> String {
        let source =
            |file: &str| if file == self.name { Some(self.text.clone()) } else { Modules::source(file) };
        diagnosis.draw(source, color)
    }

    /// Runs one test to its end, closes what it left running, and removes its scratch folders.
    pub fn run(&self, test: &str, host: &Host, color: bool) -> Outcome {
        let bench = host.bench();
        bench.experiments.store(0, Relaxed);
        bench.failed_checks.store(0, Relaxed);
        bench.invalid.lock().take();
        let called = self.call(test, host);
        let closed = host.wait(bench.fleet.close_all());
        if let Err(e) = host.scratch().clear() {
            bench.emit(Event::Warned {
                text: format!("the test's scratch folders could not be removed: {e}"),
            });
        }
        let diagnosis = match (called, closed) {
            (Err(diagnosis), _) => diagnosis,
            (Ok(()), Err(survivors)) => Diagnosis::plain(survivors.to_string(), None).with_code(Code::Engine),
            (Ok(()), Ok(())) => {
                let failed = bench.failed_checks.load(Relaxed);
                return concluded(failed, bench.invalid.lock().take());
            }
        };
        let summary = diagnosis.message.lines().next().unwrap_or_default().to_owned();
        // Whoever interrupts a run knows why it ended.
        let is_news = diagnosis.code != Code::Interrupted;
        let report = if is_news { self.draw(&diagnosis, color) } else { String::new() };
        Outcome::Failed { code: diagnosis.code, summary, report }
    }

    fn call(&self, test: &str, host: &Host) -> Result<(), Diagnosis> {
        let modules = Modules::new(&self.folder);
        let engine = interpreter(host, modules.clone());
        let call = || engine.call_fn::<Dynamic>(&mut Scope::new(), &self.ast, test, ());
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.diagnose(&error, &modules)),
            Err(_) => Err(Diagnosis::plain("lmrun itself failed: this is a bug in it", None)),
        }
    }

    fn diagnose(&self, error: &EvalAltResult, modules: &Modules) -> Diagnosis {
        with_hint(Diagnosis::of(error, &self.name), &self.ast, modules)
    }
}

/// Says which function may be meant by one that is not found, of those of `ast` and `modules`.
pub fn with_hint(diagnosis: Diagnosis, ast: &AST, modules: &Modules) -> Diagnosis {
    let Some(missing) = diagnosis.message.strip_prefix("function not found: ") else { return diagnosis };
    let missing = missing.split([' ', '(']).next().unwrap_or_default();
    let own = ast.iter_functions().map(|f| f.name.to_owned());
    let natives = super::api::GLOBALS.iter().map(|name| (*name).to_owned());
    let known: Vec<String> = own.chain(natives).chain(modules.function_names()).collect();
    let near = nearest(missing, known.iter().map(String::as_str));
    let help = match near {
        Some(near) if near == missing => other_arguments(near),
        Some(near) => format!("did you mean `{near}`?"),
        None => return diagnosis,
    };
    diagnosis.with_help(Some(help))
}

/// How a function is called, where it is one of lmrun's.
fn other_arguments(name: &str) -> String {
    let catalog = Catalog::read();
    let forms = catalog.find(name).into_iter().filter(|item| item.title() == name);
    let forms = forms.flat_map(|item| item.signatures.iter().map(|signature| item.declaration(signature)));
    match forms.map(|form| format!("`{form}`")).collect::<Vec<_>>().as_slice() {
        [] => format!("`{name}` takes other arguments"),
        forms => format!("it is called as {}", forms.join(" or ")),
    }
}

/// How a test ends that ran to its end.
fn concluded(failed_checks: usize, invalid: Option<String>) -> Outcome {
    let failed = |code, summary| Outcome::Failed { code, report: String::new(), summary };
    match (invalid, failed_checks) {
        (Some(reason), _) => failed(Code::Invalid, format!("invalid: {reason}")),
        (None, 0) => Outcome::Passed,
        (None, 1) => failed(Code::Check, "1 check failed".into()),
        (None, n) => failed(Code::Check, format!("{n} checks failed")),
    }
}
