//! Evaluation of inputs and files.

use super::export::{self, SavedInput};
use super::value::PromptValue;
use crate::core::{Code, Event};
use crate::script::check;
use crate::script::diagnostic::{Diagnostic, Place};
use crate::script::hints::{with_compile_hint, with_hint};
use crate::script::host::Host;
use crate::script::language::{interpreter, stop_when_cancelled};
use crate::script::modules::{Modules, STD, alias};
use crate::script::program;
use rhai::{AST, Dynamic, EvalAltResult, Expr, ModuleResolver, Position, Scope, Stmt};
use std::cell::RefCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;

/// The name of the inputs in errors.
const PROMPT: &str = "prompt";

/// The variable that holds the last value.
pub(super) const LAST: &str = "last";

/// The state of a prompt.
pub(crate) struct Session {
    pub(super) host: Host,
    modules: Modules,
    pub(super) engine: rhai::Engine,
    pub(super) scope: Scope<'static>,
    pub(super) functions: AST,
    /// The text of all inputs, one below the other. Positions count in it.
    text: String,
    saved: Vec<SavedInput>,
    loaded: Vec<LoadedFile>,
    /// True if the user has declared a variable with the name [`LAST`].
    has_own_last: bool,
}

/// A file among the inputs.
struct LoadedFile {
    file: String,
    /// Its lines in the text of all inputs.
    lines: Range<usize>,
}

impl Session {
    /// Creates a session with the modules of the library. Imports are relative to `folder`.
    ///
    /// # Errors
    /// If a module of the library is wrong. A test rules that out.
    pub(crate) fn new(host: &Host, folder: &Path) -> Result<Self, Diagnostic> {
        let modules = Modules::new(folder);
        let mut session = Self {
            host: host.clone(),
            engine: interpreter(host, modules.clone()),
            modules,
            scope: Scope::new(),
            functions: AST::empty(),
            text: String::new(),
            saved: Vec::new(),
            loaded: Vec::new(),
            has_own_last: false,
        };
        for (path, _) in STD {
            session
                .import(path, alias(path))
                .map_err(|error| Diagnostic::from_error(&error, PROMPT))?;
        }
        Ok(session)
    }

    /// Evaluates an input, which an interrupt can end. Sets [`LAST`] to its value if it has one.
    ///
    /// # Errors
    /// If it does not compile, fails, or is interrupted.
    pub(crate) fn eval(&mut self, input: &str) -> Result<PromptValue, Diagnostic> {
        let value = self.evaluate(input)?;
        if !value.is_unit() && !self.has_own_last {
            self.scope.set_or_push(LAST, value.clone());
        }
        Ok(PromptValue::from_dynamic(&self.engine, value))
    }

    fn evaluate(&mut self, input: &str) -> Result<Dynamic, Diagnostic> {
        stop_when_cancelled(
            &mut self.engine,
            self.host.runner().client.interrupts.start_work(),
        );
        let ast = self.compile(input)?;
        let variables_before = self.scope.len();
        let functions_before = self.functions.clone();
        self.functions.combine(ast.clone_functions_only());
        let result = self.run(&ast).and_then(|value| {
            self.keep_imports(&ast)?;
            Ok(value)
        });
        match result {
            Ok(value) => {
                let mut statements = ast.statements().iter();
                self.has_own_last |= statements.any(|statement| declares(statement, LAST));
                let sets_last = !value.is_unit() && !self.has_own_last;
                self.saved.push(SavedInput::new(input, &ast, sets_last));
                Ok(value)
            }
            Err(error) => {
                let diagnostic = self.diagnose(&error);
                // Remove the declarations of a failed input, but not its other changes, nor
                // results that were measured before an interrupt.
                if diagnostic.code != Code::Interrupted {
                    self.scope.rewind(variables_before);
                    self.functions = functions_before;
                }
                Err(diagnostic)
            }
        }
    }

    /// Evaluates a file, which keeps its functions, constants and imports. Later imports and paths
    /// are relative to its folder.
    ///
    /// # Errors
    /// If it cannot be read, or as [`Session::eval`].
    pub(crate) fn load(&mut self, path: &Path) -> Result<(), Diagnostic> {
        let text = program::read(path).map_err(Diagnostic::into_unusable)?;
        let title = path.display().to_string();
        let start = self.text.lines().count();
        self.loaded.push(LoadedFile {
            file: title.clone(),
            lines: start..start + text.lines().count(),
        });
        let folder = path.parent().unwrap_or(Path::new(""));
        self.modules.set_base(folder);
        self.host.set_script_dir(folder);
        for text in check::warnings(&title, &text, folder) {
            self.host.runner().emit(Event::Warned { text });
        }
        self.eval(&text).map(drop)
    }

    /// Evaluates an expression and returns the name of its type in scripts.
    ///
    /// # Errors
    /// As [`Session::eval`].
    pub(crate) fn type_of(&mut self, expression: &str) -> Result<String, Diagnostic> {
        let value = self.evaluate(expression)?;
        self.saved.pop();
        Ok(self.engine.map_type_name(value.type_name()).to_owned())
    }

    /// Draws an error in an input or in what it calls.
    pub(crate) fn draw(&self, diagnostic: &Diagnostic, color: bool) -> String {
        diagnostic.draw(|file| self.source(file), color)
    }

    fn source(&self, file: &str) -> Option<String> {
        if file == PROMPT {
            Some(self.text.clone())
        } else {
            Modules::source(file)
        }
    }

    /// Returns the inputs that did not fail as a script with the test `test`.
    pub(crate) fn script(&self, test: &str) -> String {
        export::script(&self.saved, test)
    }

    /// Removes the scratch folders.
    ///
    /// # Errors
    /// If a folder cannot be removed.
    pub(crate) fn clear_scratch(&self) -> std::io::Result<()> {
        self.host.scratch().clear()
    }

    /// Compiles an input with positions that count in the text of all inputs.
    fn compile(&mut self, input: &str) -> Result<AST, Diagnostic> {
        let text = "\n".repeat(self.text.lines().count()) + input;
        self.text.push_str(input);
        self.text.push('\n');
        match self.engine.compile_with_scope(&self.scope, &text) {
            Ok(mut ast) => {
                ast.set_source(PROMPT);
                Ok(ast)
            }
            Err(error) => {
                let diagnostic = Diagnostic::from_error(&error.into(), PROMPT);
                let diagnostic = with_compile_hint(diagnostic, &text);
                Err(self.move_into_files(diagnostic).into_unusable())
            }
        }
    }

    #[expect(
        deprecated,
        reason = "Rhai has no other way to give functions the constants of earlier lines"
    )]
    fn run(&mut self, ast: &AST) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut global = self.engine.new_global_runtime_state();
        global.source = Some(PROMPT.into());
        global.lib.push(self.functions.shared_lib().clone());
        let constants = self
            .scope
            .iter()
            .filter(|(_, is_constant, _)| *is_constant)
            .map(|(name, _, value)| (name.into(), value))
            .collect();
        global.constants = Some(Rc::new(RefCell::new(constants)));
        let mut caches = rhai::Caches::new();
        let engine = &self.engine;
        let scope = &mut self.scope;
        let result = catch_unwind(AssertUnwindSafe(|| {
            engine.eval_statements_raw(&mut global, &mut caches, scope, ast.statements())
        }));
        result.unwrap_or_else(|_| Err("lmrun has failed: this is a bug".into()))
    }

    /// Keeps the modules that an input has imported.
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
        let module = self
            .modules
            .resolve(&self.engine, None, path, Position::NONE)?;
        self.engine.register_static_module(alias, module);
        Ok(())
    }

    fn diagnose(&self, error: &EvalAltResult) -> Diagnostic {
        let diagnostic = Diagnostic::from_error(error, PROMPT);
        self.move_into_files(with_hint(diagnostic, &self.functions, &self.modules))
    }

    /// Converts places in the text of all inputs to places in the files that were loaded.
    fn move_into_files(&self, diagnostic: Diagnostic) -> Diagnostic {
        diagnostic.map_places(|place| self.move_into_file(place))
    }

    fn move_into_file(&self, place: &mut Place) {
        let Some(line) = place.position.line().filter(|_| place.file == PROMPT) else {
            return;
        };
        let mut files = self.loaded.iter();
        if let Some(loaded) = files.find(|loaded| loaded.lines.contains(&(line - 1))) {
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
