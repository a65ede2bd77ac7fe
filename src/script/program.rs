//! A script: loaded, listed, and its tests run one by one.

use super::check;
use super::declared::{Declared, declared};
use super::fault::{Diagnosis, Fault, Place};
use super::hint::{self, with_hint};
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

/// The text of a script.
///
/// # Errors
/// When it cannot be read; the advice names one that can.
pub fn read(path: &Path) -> Result<String, Diagnosis> {
    std::fs::read_to_string(path).map(without_bom).map_err(|e| {
        let help = match neighbour(path) {
            Some(near) => format!("did you mean `{}`?", near.display()),
            None => {
                "give the path of a script; `lmrun new test NAME` makes one to start from".into()
            }
        };
        Diagnosis::plain(
            format!("cannot read the script `{}`: {e}", path.display()),
            Some(help),
        )
    })
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
    /// Reads and compiles a script. Nothing of it is run.
    ///
    /// # Errors
    /// When there is no such script, or it does not compile.
    pub fn load(path: &Path) -> Result<Self, Diagnosis> {
        let name = path.display().to_string();
        let text = read(path)?;
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let mut ast = compiler().compile(&text).map_err(|e| {
            let diagnosis = Diagnosis::of(&EvalAltResult::ErrorParsing(*e.0, e.1), &name);
            let help = hint::of_text(&diagnosis, &text);
            diagnosis.with_help(help)
        })?;
        if let Some((position, fault)) = shadowing(&ast, &text) {
            return Err(Diagnosis::at(
                Place {
                    file: name,
                    position,
                },
                fault,
            ));
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

    /// Its test functions, in their order.
    pub fn tests(&self) -> &[TestFunction] {
        &self.tests
    }

    /// The parameters that it and its imports ask for.
    pub fn parameters(&self) -> Declared {
        let tests = self.tests.iter().map(|test| test.name.as_str());
        declared(&self.name, &self.text, &self.folder, tests)
    }

    /// The folder that its imports and paths are relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Warnings before a run: functions that Rhai may take for each other, divisions that may fail.
    pub fn warnings(&self) -> Vec<String> {
        check::warnings(&self.name, &self.text, &self.folder)
    }

    /// Draws an error in this script, or in what it imports.
    pub fn draw(&self, diagnosis: &Diagnosis, color: bool) -> String {
        let source = |file: &str| {
            if file == self.name {
                Some(self.text.clone())
            } else {
                Modules::source(file)
            }
        };
        diagnosis.draw(source, color)
    }

    /// Runs one test to its end, closes what it left running, and removes its scratch folders.
    pub fn run(&self, test: &str, host: &Host, color: bool) -> Outcome {
        let host = &host.for_new_test();
        let runner = host.runner();
        let called = self.call(test, host);
        let closed = host.wait(runner.fleet.close_all());
        if let Err(e) = host.scratch().clear() {
            runner.emit(Event::Warned {
                text: format!("the test's scratch folders could not be removed: {e}"),
            });
        }
        let diagnosis = match (called, closed) {
            (Err(diagnosis), _) => diagnosis,
            (Ok(()), Err(survivors)) => {
                let fault = Fault::from(survivors);
                Diagnosis::plain(fault.message, fault.help).with_code(Code::Engine)
            }
            (Ok(()), Ok(())) => return host.test().outcome(),
        };
        let summary = diagnosis
            .message
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        // Whoever interrupts a run knows why it ended.
        let is_news = diagnosis.code != Code::Interrupted;
        let report = if is_news {
            self.draw(&diagnosis, color)
        } else {
            String::new()
        };
        Outcome::Failed {
            code: diagnosis.code,
            summary,
            report,
        }
    }

    fn call(&self, test: &str, host: &Host) -> Result<(), Diagnosis> {
        let modules = Modules::new(&self.folder);
        let engine = interpreter(host, modules.clone());
        let call = || engine.call_fn::<Dynamic>(&mut Scope::new(), &self.ast, test, ());
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.diagnose(&error, &modules)),
            Err(_) => {
                let help =
                    "what it says above tells where: please report it with the script".to_owned();
                Err(Diagnosis::plain(
                    "lmrun itself failed: this is a bug in it",
                    Some(help),
                ))
            }
        }
    }

    fn diagnose(&self, error: &EvalAltResult, modules: &Modules) -> Diagnosis {
        with_hint(Diagnosis::of(error, &self.name), &self.ast, modules)
    }
}
