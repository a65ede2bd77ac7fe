//! A compiled script, its tests, and how one test is run.

use super::check;
use super::diagnostic::{Diagnostic, Place, ScriptError};
use super::find_parameters::ScriptParameters;
use super::hints::{with_compile_hint, with_hint};
use super::host::Host;
use super::language::{compiler, interpreter};
use super::modules::Modules;
use super::outline::{self, TestFunction};
use super::source::shadowing;
use super::suggest::neighbour;
use crate::core::{Code, Event, Outcome};
use crate::driver::files::without_bom;
use rhai::{AST, Dynamic, EvalAltResult, Scope};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Reads the text of a script.
///
/// # Errors
/// If it cannot be read. The help names a file with a similar name.
pub(crate) fn read(path: &Path) -> Result<String, Diagnostic> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(without_bom(text)),
        Err(e) => {
            let help = match neighbour(path) {
                Some(near) => format!("did you mean `{}`?", near.display()),
                None => "give the path of a script; `lmrun new test NAME` creates one".into(),
            };
            let message = format!("cannot read the script `{}`: {e}", path.display());
            Err(Diagnostic::new(ScriptError::new(message).help(help)))
        }
    }
}

/// A compiled script.
pub struct Program {
    name: String,
    folder: PathBuf,
    text: String,
    ast: AST,
    tests: Vec<TestFunction>,
}

impl Program {
    /// Reads and compiles a script without running any of it.
    ///
    /// # Errors
    /// If it cannot be read, or does not compile.
    pub(crate) fn load(path: &Path) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        let text = read(path)?;
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let mut ast = compiler().compile(&text).map_err(|error| {
            with_compile_hint(Diagnostic::from_error(&error.into(), &name), &text)
        })?;
        if let Some((position, error)) = shadowing(&ast, &text) {
            let file = name;
            return Err(Diagnostic::at(Place { file, position }, error));
        }
        ast.set_source(name.as_str());
        let tests = outline::tests(&ast, &text);
        Ok(Self {
            name,
            folder,
            text,
            ast,
            tests,
        })
    }

    /// Returns its test functions in the order of the file.
    pub(crate) fn tests(&self) -> &[TestFunction] {
        &self.tests
    }

    /// Finds the parameters that it and its imports read.
    pub(crate) fn parameters(&self) -> ScriptParameters {
        ScriptParameters::find(&self.name, &self.text, &self.folder)
    }

    /// Returns the folder that its imports and paths are relative to.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns its text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the warnings to show before a run: functions that Rhai may confuse, and divisions
    /// that may fail.
    pub(crate) fn warnings(&self) -> Vec<String> {
        check::warnings(&self.name, &self.text, &self.folder)
    }

    /// Draws an error in this script or its imports.
    pub(crate) fn draw(&self, diagnostic: &Diagnostic, color: bool) -> String {
        diagnostic.draw(|file| self.source(file), color)
    }

    fn source(&self, file: &str) -> Option<String> {
        if file == self.name {
            Some(self.text.clone())
        } else {
            Modules::source(file)
        }
    }

    /// Runs one test, then closes its engines and removes its scratch folders.
    pub(crate) fn run(&self, test: &str, host: &Host, color: bool) -> Outcome {
        let host = &host.for_new_test();
        let runner = host.runner();
        let called = self.call(test, host);
        let closed = host.wait(runner.fleet.close_all());
        if let Err(e) = host.scratch().clear() {
            runner.emit(Event::Warned {
                text: format!("cannot remove the scratch folders of the test: {e}"),
            });
        }
        let diagnostic = match (called, closed) {
            (Err(diagnostic), _) => diagnostic,
            (Ok(()), Err(survivors)) => Diagnostic::new(survivors.into()),
            (Ok(()), Ok(())) => return host.test().outcome(),
        };
        let summary = diagnostic.message.lines().next().unwrap_or_default();
        // The user who interrupts a run knows why it ended.
        let report = match diagnostic.code {
            Code::Interrupted => String::new(),
            _ => self.draw(&diagnostic, color),
        };
        Outcome::Failed {
            code: diagnostic.code,
            summary: summary.to_owned(),
            report,
        }
    }

    fn call(&self, test: &str, host: &Host) -> Result<(), Diagnostic> {
        let modules = Modules::new(&self.folder);
        let engine = interpreter(host, modules.clone());
        let call = || engine.call_fn::<Dynamic>(&mut Scope::new(), &self.ast, test, ());
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.diagnose(&error, &modules)),
            Err(_) => {
                let error = ScriptError::new("lmrun has failed: this is a bug")
                    .help("please report it, with the script and the message above");
                Err(Diagnostic::new(error))
            }
        }
    }

    fn diagnose(&self, error: &EvalAltResult, modules: &Modules) -> Diagnostic {
        with_hint(
            Diagnostic::from_error(error, &self.name),
            &self.ast,
            modules,
        )
    }
}
