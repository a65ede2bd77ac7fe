//! Parsed scripts, their functions and imports, for analysis without running them.

use super::api;
use super::diagnostic::{ScriptError, is_library};
use super::language::compiler;
use super::modules::{Modules, STD};
use super::outline::doc;
use super::short_forms::OPTIONAL;
use rhai::{AST, ASTNode, EvalAltResult, Expr, FnAccess, OptimizationLevel, Position, Stmt};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A script, compiled without optimizations.
pub(crate) struct ScriptSource {
    /// The import path or the file.
    pub(crate) title: String,
    /// The text.
    pub(crate) text: String,
    /// The syntax tree.
    pub(crate) ast: AST,
    /// The imports, by alias.
    pub(crate) imports: BTreeMap<String, Import>,
    functions: Vec<Function>,
}

/// One `import`.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    /// The imported path.
    pub(crate) path: String,
    /// The place of the path.
    pub(crate) position: Position,
}

/// A function of a script.
pub(crate) struct Function {
    /// The name.
    pub(crate) name: String,
    /// The names of the parameters.
    pub(crate) params: Vec<String>,
    /// True if other scripts can call it.
    pub(crate) is_public: bool,
    /// The doc comment without slashes.
    pub(crate) doc: String,
    /// The place of the name.
    pub(crate) position: Position,
}

impl ScriptSource {
    /// Parses a script.
    ///
    /// # Errors
    /// If it does not compile.
    pub(crate) fn parse(title: &str, text: &str) -> Result<Self, Box<EvalAltResult>> {
        let mut engine = compiler();
        engine.set_optimization_level(OptimizationLevel::None);
        let ast = engine.compile(text)?;
        let mut functions = functions(&ast, text);
        if is_library(title) {
            functions = with_short_forms(functions);
        }
        Ok(Self {
            title: title.into(),
            text: text.into(),
            imports: imports(&ast),
            functions,
            ast,
        })
    }

    /// Returns its functions in the order of the file, without closures.
    pub(crate) fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Returns its `//!` comment without slashes.
    pub(crate) fn doc(&self) -> String {
        doc(&[self.ast.doc()])
    }

    /// Returns a script with only the function `name` that has `arity` parameters.
    pub(crate) fn body(&self, name: &str, arity: usize) -> AST {
        let mut body = self.ast.clone_functions_only();
        body.retain_functions(|_, _, f, n| f == name && n == arity);
        body
    }

    /// Returns the code outside of named functions: statements and all closures.
    pub(crate) fn outside(&self) -> AST {
        let mut outside = self.ast.clone();
        outside.retain_functions(|_, _, f, _| f.starts_with("anon$"));
        outside
    }
}

fn functions(ast: &AST, text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions: Vec<Function> = ast
        .iter_fn_def()
        .filter(|f| !f.name.starts_with("anon$"))
        .map(|f| Function {
            name: f.name.to_string(),
            params: f.params.iter().map(ToString::to_string).collect(),
            is_public: f.access == FnAccess::Public,
            doc: doc(&f.comments.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
            position: name_position(&lines, &f.name, f.body.start_position()),
        })
        .collect();
    functions.sort_by_key(|f| (f.position.line(), f.position.position()));
    functions
}

/// Returns the functions with their short forms, each after its long form.
fn with_short_forms(functions: Vec<Function>) -> Vec<Function> {
    let mut all = Vec::new();
    for function in functions {
        let short = short_form(&function);
        all.push(function);
        all.extend(short);
    }
    all
}

/// Returns the form of a public function without the optional last parameter. It has no
/// documentation.
fn short_form(function: &Function) -> Option<Function> {
    let (last, params) = function.params.split_last()?;
    (function.is_public && last == OPTIONAL).then(|| Function {
        name: function.name.clone(),
        params: params.to_vec(),
        is_public: true,
        doc: String::new(),
        position: function.position,
    })
}

/// Returns the position of a function's name. Rhai keeps only the position of the body.
fn name_position(lines: &[&str], name: &str, body: Position) -> Position {
    let last = body.line().unwrap_or_default().min(lines.len());
    for line in (1..=last).rev() {
        if let Some(column) = column_of_name(lines[line - 1], name) {
            return Position::new(line as u16, column as u16);
        }
    }
    body
}

/// Returns the column at which a line names a function, before its parameters.
fn column_of_name(line: &str, name: &str) -> Option<usize> {
    let (at, _) = line.match_indices(name).find(|(at, _)| {
        let rest = &line[at + name.len()..];
        rest.trim_start().starts_with('(')
    })?;
    Some(line[..at].chars().count() + 1)
}

/// Finds a function with the name of a native, which the script and all its imports would call
/// instead of the native.
pub(crate) fn shadowing(ast: &AST, text: &str) -> Option<(Position, ScriptError)> {
    let function = ast
        .iter_fn_def()
        .find(|f| api::GLOBALS.contains(&f.name.as_str()))?;
    let name = &function.name;
    let error = ScriptError::new(format!("`{name}` is the name of a function of lmrun"))
        .at_word(name)
        .help("choose another name: the library would call this function instead of lmrun's");
    let lines: Vec<&str> = text.lines().collect();
    let position = name_position(&lines, name, function.body.start_position());
    Some((position, error))
}

fn imports(ast: &AST) -> BTreeMap<String, Import> {
    let mut imports = BTreeMap::new();
    ast.walk(&mut |path| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, position))) = path.last()
            && let (Expr::StringConstant(path, _), alias) = import.as_ref()
        {
            imports.insert(
                alias.name.to_string(),
                Import {
                    path: path.to_string(),
                    position: *position,
                },
            );
        }
        true
    });
    imports
}

/// Scripts by import path.
pub(crate) struct ScriptSources {
    base: PathBuf,
    loaded: BTreeMap<String, ScriptSource>,
}

impl ScriptSources {
    /// Creates a set with the library. Other imports are relative to `base`.
    ///
    /// # Panics
    /// If the library does not compile.
    pub(crate) fn new(base: &Path) -> Self {
        let mut sources = Self::empty(base);
        for (path, text) in STD {
            let source = ScriptSource::parse(path, text).expect("the library compiles");
            sources.loaded.insert(path.into(), source);
        }
        sources
    }

    /// Creates an empty set, without the library.
    pub(crate) fn empty(base: &Path) -> Self {
        Self {
            base: base.into(),
            loaded: BTreeMap::new(),
        }
    }

    /// Returns the script with the import path `path`.
    pub(crate) fn get(&self, path: &str) -> Option<&ScriptSource> {
        self.loaded.get(path)
    }

    /// Returns the scripts that do not belong to the library.
    pub(crate) fn own(&self) -> impl Iterator<Item = (&str, &ScriptSource)> {
        self.all().filter(|(path, _)| !is_library(path))
    }

    /// Returns all scripts with their import paths.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &ScriptSource)> {
        self.loaded
            .iter()
            .map(|(path, source)| (path.as_str(), source))
    }

    /// Adds a script and its imports, except those that do not exist.
    ///
    /// # Errors
    /// If an import does not compile.
    pub(crate) fn add(
        &mut self,
        path: &str,
        source: ScriptSource,
    ) -> Result<(), (String, Box<EvalAltResult>)> {
        let imports: Vec<String> = source
            .imports
            .values()
            .map(|import| import.path.clone())
            .collect();
        let modules = Modules::new(&self.base);
        self.loaded.insert(path.into(), source);
        for import in imports {
            let title = modules.title(&import);
            let is_known = self.loaded.contains_key(&import) || api::native(&import).is_some();
            let Some(text) = Modules::source(&title).filter(|_| !is_known) else {
                continue;
            };
            let source = ScriptSource::parse(&title, &text).map_err(|error| (title, error))?;
            self.add(&import, source)?;
        }
        Ok(())
    }
}
