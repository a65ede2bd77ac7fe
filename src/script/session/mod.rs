//! A session at a prompt: inputs evaluated one after the other, in one scope.
//!
//! Variables, functions, imports and constants stay. What fails changes nothing that was there.

mod reading;
mod saving;
mod shown;
#[cfg(test)]
mod tests;
mod words;

pub use reading::{Reading, reading};
pub use shown::Shown;
pub use words::Variable;

use super::check;
use super::fault::{Diagnosis, Place};
use super::hint::{self, with_hint};
use super::host::Host;
use super::language::{compiler, heed, interpreter};
use super::modules::{Modules, STD};
use super::program;
use crate::core::{Code, Event};
use rhai::{AST, Dynamic, EvalAltResult, Expr, Position, Scope, Stmt};
use saving::Kept;
use std::cell::RefCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;

/// How errors call what was typed.
const PROMPT: &str = "prompt";
/// The variable that holds the last value of an input.
pub const LAST: &str = "last";

/// What is at a prompt.
pub struct Session {
    host: Host,
    modules: Modules,
    engine: rhai::Engine,
    scope: Scope<'static>,
    functions: AST,
    /// All that was typed, one under the other: positions count in it.
    text: String,
    kept: Vec<Kept>,
    loaded: Vec<Loaded>,
    /// True if the user has declared a variable with the name [`LAST`].
    has_own_last: bool,
}

/// A file among what was typed.
struct Loaded {
    file: String,
    /// Its lines in the text.
    lines: Range<usize>,
}

impl Session {
    /// A session with the library's modules under their names; imports are relative to `folder`.
    ///
    /// # Errors
    /// When a module of the library is wrong, which a test would have found.
    pub fn new(host: &Host, folder: &Path) -> Result<Self, Diagnosis> {
        let modules = Modules::new(folder);
        let engine = interpreter(host, modules.clone());
        let (scope, functions) = (Scope::new(), AST::empty());
        let (text, kept, loaded) = Default::default();
        let host = host.clone();
        let has_own_last = false;
        let mut session = Self {
            host,
            modules,
            engine,
            scope,
            functions,
            text,
            kept,
            loaded,
            has_own_last,
        };
        for (path, _) in STD {
            session
                .import(path, Self::alias(path))
                .map_err(|e| Diagnosis::of(&e, PROMPT))?;
        }
        Ok(session)
    }

    fn alias(path: &str) -> &str {
        path.rsplit('/').next().unwrap_or(path)
    }

    /// Evaluates an input. It can be interrupted alone. Its value, if it has one, is in `LAST` afterwards.
    ///
    /// # Errors
    /// When it does not compile, fails, or is interrupted.
    pub fn eval(&mut self, input: &str) -> Result<Shown, Diagnosis> {
        let value = self.evaluate(input)?;
        if !value.is_unit() && !self.has_own_last {
            self.scope.set_or_push(LAST, value.clone());
        }
        Ok(shown::of(&self.engine, value))
    }

    fn evaluate(&mut self, input: &str) -> Result<Dynamic, Diagnosis> {
        heed(&mut self.engine, self.host.runner().interrupts.begin());
        let before = self.append(input);
        // Positions count in all that was typed.
        let text = "\n".repeat(before) + input;
        let mut ast = self
            .engine
            .compile_with_scope(&self.scope, &text)
            .map_err(|e| {
                let error = EvalAltResult::ErrorParsing(*e.0, e.1);
                let help = hint::of_text(&Diagnosis::of(&error, PROMPT), &text);
                self.diagnose(&error).with_help(help).as_unusable()
            })?;
        ast.set_source(PROMPT);
        let depth = self.scope.len();
        let functions = self.functions.clone();
        self.functions.combine(ast.clone_functions_only());
        let result = self.run(&ast).and_then(|value| {
            self.keep_imports(&ast)?;
            Ok(value)
        });
        match result {
            Ok(value) => {
                self.has_own_last |= ast
                    .statements()
                    .iter()
                    .any(|statement| declares(statement, LAST));
                self.kept.push(Kept::of(
                    input,
                    &ast,
                    !value.is_unit() && !self.has_own_last,
                ));
                Ok(value)
            }
            Err(error) => {
                let diagnosis = self.diagnose(&error);
                // Declarations of a failed input are removed; its changes stay, and so do results that were
                // measured before an interrupt.
                if diagnosis.code != Code::Interrupted {
                    self.scope.rewind(depth);
                    self.functions = functions;
                }
                Err(diagnosis)
            }
        }
    }

    /// Evaluates a file: its functions, constants and imports are there afterwards. From then on imports and
    /// the paths of natives are relative to its folder.
    ///
    /// # Errors
    /// When it cannot be read, or as [`Session::eval`].
    pub fn load(&mut self, path: &Path) -> Result<(), Diagnosis> {
        let text = program::read(path).map_err(Diagnosis::as_unusable)?;
        let before = self.text.lines().count();
        let lines = before..before + text.lines().count();
        self.loaded.push(Loaded {
            file: path.display().to_string(),
            lines,
        });
        let folder = path.parent().unwrap_or(Path::new(""));
        self.modules.stand_in(folder);
        self.host.stand_in(folder);
        let title = path.display().to_string();
        for text in check::warnings(&title, &text, folder) {
            self.host.runner().emit(Event::Warned { text });
        }
        self.eval(&text).map(drop)
    }

    /// The type of what an expression gives, as scripts name it.
    ///
    /// # Errors
    /// As [`Session::eval`].
    pub fn type_of(&mut self, expression: &str) -> Result<String, Diagnosis> {
        let value = self.evaluate(expression)?;
        self.kept.pop();
        Ok(self.engine.map_type_name(value.type_name()).to_owned())
    }

    /// Draws an error of what was typed, or of what it calls.
    pub fn draw(&self, diagnosis: &Diagnosis, color: bool) -> String {
        let source = |file: &str| {
            if file == PROMPT {
                Some(self.text.clone())
            } else {
                Modules::source(file)
            }
        };
        diagnosis.draw(source, color)
    }

    /// The inputs that did not fail, as a script with the test `test`.
    pub fn script(&self, test: &str) -> String {
        saving::script(&self.kept, test)
    }

    /// Removes the scratch folders.
    ///
    /// # Errors
    /// When something of them stays.
    pub fn clear_scratch(&self) -> std::io::Result<()> {
        self.host.scratch().clear()
    }

    /// Adds to what was typed; returns the number of lines before it.
    fn append(&mut self, input: &str) -> usize {
        let before = self.text.lines().count();
        self.text.push_str(input);
        self.text.push('\n');
        before
    }

    #[expect(
        deprecated,
        reason = "Rhai has no other way to give functions the constants of earlier lines"
    )]
    fn run(&mut self, ast: &AST) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut global = self.engine.new_global_runtime_state();
        global.source = Some(PROMPT.into());
        global.lib.push(self.functions.shared_lib().clone());
        let constants = self.scope.iter().filter(|(_, is_constant, _)| *is_constant);
        let constants = constants
            .map(|(name, _, value)| (name.into(), value))
            .collect();
        global.constants = Some(Rc::new(RefCell::new(constants)));
        let (engine, scope, mut caches) = (&self.engine, &mut self.scope, rhai::Caches::new());
        let work = || engine.eval_statements_raw(&mut global, &mut caches, scope, ast.statements());
        catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err("lmrun itself failed: this is a bug in it".into()))
    }

    /// Modules that were imported stay.
    fn keep_imports(&mut self, ast: &AST) -> Result<(), Box<EvalAltResult>> {
        for statement in ast.statements() {
            if let Stmt::Import(import, _) = statement
                && let (Expr::StringConstant(path, _), alias) = import.as_ref()
                && !alias.name.is_empty()
            {
                self.import(path, &alias.name)?;
            }
        }
        Ok(())
    }

    fn import(&mut self, path: &str, alias: &str) -> Result<(), Box<EvalAltResult>> {
        use rhai::ModuleResolver;
        let module = self
            .modules
            .resolve(&self.engine, None, path, Position::NONE)?;
        self.engine.register_static_module(alias, module);
        Ok(())
    }

    fn diagnose(&self, error: &EvalAltResult) -> Diagnosis {
        let diagnosis = with_hint(Diagnosis::of(error, PROMPT), &self.functions, &self.modules);
        diagnosis.moved(|place| self.move_into_file(place))
    }

    /// What stands in a file that was loaded has its place there.
    fn move_into_file(&self, place: &mut Place) {
        let Some(line) = place.position.line().filter(|_| place.file == PROMPT) else {
            return;
        };
        if let Some(loaded) = self
            .loaded
            .iter()
            .find(|loaded| loaded.lines.contains(&(line - 1)))
        {
            let column = place.position.position().unwrap_or(1);
            place.file.clone_from(&loaded.file);
            place.position = Position::new((line - loaded.lines.start) as u16, column as u16);
        }
    }
}

/// Returns true if a statement declares the variable or constant `name`.
fn declares(statement: &Stmt, name: &str) -> bool {
    matches!(statement, Stmt::Var(var, ..) if var.0.name == name)
}

/// What only compiles a text needs none of the session.
fn parsed(text: &str) -> Result<AST, rhai::ParseError> {
    let mut engine = compiler();
    engine.set_strict_variables(false);
    engine.compile(text)
}
