//! Scripts as texts that can be looked at: their functions and imports, without running any.

use super::api;
use super::fault::{Fault, is_library};
use super::language::compiler;
use super::modules::{Modules, STD};
use super::outline::doc;
use rhai::{AST, ASTNode, EvalAltResult, Expr, FnAccess, OptimizationLevel, Position, Stmt};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One script, compiled so that nothing of it is optimized away.
pub struct Source {
    /// Its import path, or the file that it is.
    pub title: String,
    /// What it says.
    pub text: String,
    /// What Rhai made of it.
    pub ast: AST,
    /// What it imports, by alias.
    pub imports: BTreeMap<String, Import>,
    functions: Vec<Function>,
}

/// One `import`.
#[derive(Clone, Debug)]
pub struct Import {
    /// What is imported.
    pub path: String,
    /// Where it says so.
    pub position: Position,
}

/// A function of a script.
pub struct Function {
    /// Its name.
    pub name: String,
    /// The names of its parameters.
    pub params: Vec<String>,
    /// Whether other scripts can call it.
    pub is_public: bool,
    /// Its doc comment, without the slashes.
    pub doc: String,
    /// Where its name stands.
    pub position: Position,
}

impl Source {
    /// Compiles a script.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn parse(title: &str, text: &str) -> Result<Self, Box<EvalAltResult>> {
        let mut engine = compiler();
        engine.set_optimization_level(OptimizationLevel::None);
        let ast = engine
            .compile(text)
            .map_err(|e| EvalAltResult::ErrorParsing(*e.0, e.1))?;
        let imports = imports(&ast);
        let functions = functions(&ast, text);
        Ok(Self {
            title: title.into(),
            text: text.into(),
            ast,
            imports,
            functions,
        })
    }

    /// Its functions in their order, without closures.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Its `//!` comment, without the slashes.
    pub fn doc(&self) -> String {
        doc(&[self.ast.doc()])
    }

    /// The body of one function as a script of its own.
    pub fn body(&self, name: &str, arity: usize) -> AST {
        let mut body = self.ast.clone_functions_only();
        body.retain_functions(|_, _, f, n| f == name && n == arity);
        body
    }

    /// What is in no function that has a name: statements, and all closures.
    pub fn outside(&self) -> AST {
        let mut outside = self.ast.clone();
        outside.retain_functions(|_, _, f, _| f.starts_with("anon$"));
        outside
    }
}

fn functions(ast: &AST, text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let named = ast.iter_fn_def().filter(|f| !f.name.starts_with("anon$"));
    let mut functions: Vec<Function> = named
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

/// The position of a function's name in the `lines` of its script; Rhai only says where its body begins.
fn name_position(lines: &[&str], name: &str, body: Position) -> Position {
    let is_name = |rest: &str| {
        rest.strip_prefix(name)
            .is_some_and(|rest| rest.trim_start().starts_with('('))
    };
    let column = |line: &str| {
        let at = line
            .match_indices(name)
            .map(|(at, _)| at)
            .find(|at| is_name(&line[*at..]))?;
        Some(line[..at].chars().count() + 1)
    };
    let last = body.line().unwrap_or_default().min(lines.len());
    let found = (1..=last)
        .rev()
        .find_map(|line| Some((line, column(lines[line - 1])?)));
    found.map_or(body, |(line, column)| {
        Position::new(line as u16, column as u16)
    })
}

/// A function that would take the place of a native in the script and in all that it imports.
pub fn shadowing(ast: &AST, text: &str) -> Option<(Position, Fault)> {
    let f = ast
        .iter_fn_def()
        .find(|f| api::GLOBALS.contains(&f.name.as_str()))?;
    let fault = Fault::new(format!("`{}` is lmrun's own function", f.name))
        .at_word(&f.name)
        .help("give yours another name: the library would call it in place of lmrun's");
    let lines: Vec<&str> = text.lines().collect();
    Some((
        name_position(&lines, &f.name, f.body.start_position()),
        fault,
    ))
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

/// Scripts by what imports call them: the library, and what was loaded beside it.
pub struct Sources {
    base: PathBuf,
    loaded: BTreeMap<String, Source>,
}

impl Sources {
    /// The library. Other imports are relative to `base`.
    ///
    /// # Panics
    /// When the library does not compile.
    pub fn new(base: &Path) -> Self {
        let parse = |(title, text)| Source::parse(title, text).expect("the library compiles");
        let library = STD
            .into_iter()
            .map(|(path, text)| (path.to_owned(), parse((path, text))));
        Self {
            base: base.into(),
            loaded: library.collect(),
        }
    }

    /// Nothing yet, not even the library.
    pub fn empty(base: &Path) -> Self {
        Self {
            base: base.into(),
            loaded: BTreeMap::new(),
        }
    }

    /// The script that `path` imports.
    pub fn get(&self, path: &str) -> Option<&Source> {
        self.loaded.get(path)
    }

    /// Those that are not the library's.
    pub fn own(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.all().filter(|(path, _)| !is_library(path))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.loaded
            .iter()
            .map(|(path, source)| (path.as_str(), source))
    }

    /// Adds a script, and what it imports.
    ///
    /// # Errors
    /// When one of those does not compile. One that is not there is left out.
    pub fn add(&mut self, path: &str, source: Source) -> Result<(), (String, Box<EvalAltResult>)> {
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
            let source = Source::parse(&title, &text).map_err(|error| (title, error))?;
            self.add(&import, source)?;
        }
        Ok(())
    }
}
