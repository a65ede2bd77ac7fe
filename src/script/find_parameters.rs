//! The parameters that a script reads, found without running it: `param("name", default)` in the
//! script and its imports, including calls through functions that pass the name on.

use super::api;
use super::outline;
use super::source::{ScriptSource, ScriptSources};
use rhai::{ASTNode, Expr, FnCallExpr, FnPtr, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The module of the native `param`.
const NATIVE: &str = "core/run";

/// Parameters by name, each with its default as the script writes it.
pub(crate) type Defaults = BTreeMap<String, String>;

/// The parameters of a script.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ScriptParameters {
    /// The names of all parameters that the script and its imports read.
    pub(crate) names: BTreeSet<String>,
    /// True if `names` may be incomplete, because the script computes a name.
    pub(crate) is_incomplete: bool,
    /// The parameters that each test may read.
    pub(crate) by_test: BTreeMap<String, Defaults>,
}

impl ScriptParameters {
    /// Finds the parameters of the script `title`, whose imports are relative to `folder`.
    pub(crate) fn find(title: &str, text: &str, folder: &Path) -> Self {
        let mut found = Self::default();
        let Ok(source) = ScriptSource::parse(title, text) else {
            found.is_incomplete = true;
            return found;
        };
        let tests = outline::tests(&source.ast, text);
        let mut sources = ScriptSources::empty(folder);
        let is_loaded = sources.add(title, source).is_ok();
        let graph = CallGraph::new(title, &sources);
        let (readers, uses) = graph.parameter_uses();
        found.is_incomplete = !is_loaded || has_unknown_import(&sources);
        for body in &graph.bodies {
            let is_hidden = readers
                .iter()
                .any(|reader| body.called_indirectly.contains(reader.name));
            found.is_incomplete |= body.runs_unknown_code || is_hidden;
        }
        for used in uses.iter().flatten() {
            match used {
                ParameterUse::Read(name, _) => drop(found.names.insert(name.clone())),
                ParameterUse::Computed => found.is_incomplete = true,
                ParameterUse::Forwarded(_) => {}
            }
        }
        for test in tests {
            let mut defaults = Defaults::new();
            for at in graph.reachable(&test.name) {
                for used in &uses[at] {
                    if let ParameterUse::Read(name, default) = used {
                        defaults.insert(name.clone(), default.clone());
                    }
                }
            }
            found.by_test.insert(test.name, defaults);
        }
        found
    }
}

/// Returns true if a script imports a module that does not exist.
fn has_unknown_import(sources: &ScriptSources) -> bool {
    let mut imports = sources
        .all()
        .flat_map(|(_, source)| source.imports.values());
    imports.any(|import| sources.get(&import.path).is_none() && api::native(&import.path).is_none())
}

/// All code that a script may run.
struct CallGraph<'a> {
    /// The path of the script itself.
    main: &'a str,
    bodies: Vec<FunctionBody<'a>>,
    /// The indices of bodies by the path of the script and the name of the function.
    by_name: BTreeMap<(&'a str, &'a str), Vec<usize>>,
}

/// The body of a function, or the part of a script outside of all functions.
struct FunctionBody<'a> {
    path: &'a str,
    source: &'a ScriptSource,
    /// The name of the function; empty outside of functions.
    name: &'a str,
    params: Vec<&'a str>,
    /// Line and column of its first and last character.
    start: (usize, usize),
    end: (usize, usize),
    calls: Vec<(FnCallExpr, Position)>,
    /// Names in the body, each of which may be a function's.
    mentioned: BTreeSet<String>,
    /// Names of functions whose arguments are unknown: methods and function pointers.
    called_indirectly: BTreeSet<String>,
    /// Variables that the body sets.
    assigned: BTreeSet<String>,
    /// True if it evaluates text, or imports a computed path.
    runs_unknown_code: bool,
}

/// A function that reads the parameter whose name it is given.
#[derive(Clone, PartialEq, Eq)]
struct ParamReader<'a> {
    path: &'a str,
    name: &'a str,
    arity: usize,
    /// The index of the argument that is the parameter's name.
    name_at: usize,
    default: DefaultSource,
}

/// The source of a parameter's default.
#[derive(Clone, PartialEq, Eq)]
enum DefaultSource {
    /// The argument with this index.
    Argument(usize),
    /// This expression.
    Text(String),
}

/// The effect of one call of a [`ParamReader`].
enum ParameterUse<'a> {
    /// It reads the parameter of this name, with this default.
    Read(String, String),
    /// It passes on a name that its function is given.
    Forwarded(ParamReader<'a>),
    /// It reads a parameter whose name is computed.
    Computed,
}

impl<'a> CallGraph<'a> {
    fn new(main: &'a str, sources: &'a ScriptSources) -> Self {
        let mut bodies = Vec::new();
        for (path, source) in sources.all() {
            bodies.extend(bodies_of(path, source));
        }
        let mut by_name: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, body) in bodies.iter().enumerate() {
            by_name.entry((body.path, body.name)).or_default().push(at);
        }
        Self {
            main,
            bodies,
            by_name,
        }
    }

    /// Finds all functions that read a parameter whose name they are given, and the uses of
    /// parameters in each body.
    fn parameter_uses(&self) -> (Vec<ParamReader<'a>>, Vec<Vec<ParameterUse<'a>>>) {
        let mut readers = vec![ParamReader {
            path: NATIVE,
            name: "param",
            arity: 2,
            name_at: 0,
            default: DefaultSource::Argument(1),
        }];
        loop {
            let uses: Vec<Vec<ParameterUse<'a>>> = self
                .bodies
                .iter()
                .map(|body| body.parameter_uses(self.main, &readers))
                .collect();
            let known = readers.len();
            for used in uses.iter().flatten() {
                if let ParameterUse::Forwarded(new) = used
                    && !readers.iter().any(|reader| reader.is_same_function(new))
                {
                    readers.push(new.clone());
                }
            }
            if readers.len() == known {
                return (readers, uses);
            }
        }
    }

    /// Returns the indices of the bodies that `test` may reach by the names that they mention. Code
    /// outside of functions runs before every test.
    fn reachable(&self, test: &str) -> BTreeSet<usize> {
        let mut pending = self.named(self.main, test);
        pending.extend((0..self.bodies.len()).filter(|at| self.bodies[*at].name.is_empty()));
        let mut reachable = BTreeSet::new();
        while let Some(at) = pending.pop() {
            if !reachable.insert(at) {
                continue;
            }
            let body = &self.bodies[at];
            for name in body.mentioned.iter().chain(&body.called_indirectly) {
                pending.extend(self.named(body.path, name));
                pending.extend(self.named(self.main, name));
            }
            for (call, _) in &body.calls {
                if let Some(module) = body.module(call) {
                    pending.extend(self.named(module, &call.name));
                }
            }
        }
        reachable
    }

    fn named(&self, path: &str, name: &str) -> Vec<usize> {
        self.by_name.get(&(path, name)).cloned().unwrap_or_default()
    }
}

/// Returns the code outside of functions, and then each function of a script. Closures belong to
/// the functions that contain them.
fn bodies_of<'a>(path: &'a str, source: &'a ScriptSource) -> Vec<FunctionBody<'a>> {
    let (closures, mut functions): (Vec<_>, Vec<_>) = source
        .ast
        .iter_fn_def()
        .partition(|function| function.name.starts_with("anon$"));
    functions.sort_by_key(|function| line_and_column(function.body.start_position()));
    let mut bodies = vec![FunctionBody::outside(path, source)];
    for function in functions {
        bodies.push(FunctionBody {
            name: function.name.as_str(),
            params: function.params.iter().map(AsRef::as_ref).collect(),
            start: line_and_column(function.body.start_position()),
            end: line_and_column(function.body.end_position()),
            ..FunctionBody::outside(path, source)
        });
    }
    for closure in closures {
        let at = body_at(&bodies, closure.body.start_position());
        let params = closure.params.iter().map(ToString::to_string);
        bodies[at].assigned.extend(params);
    }
    source.ast.walk(&mut |nodes| {
        if let Some(node) = nodes.last() {
            let at = body_at(&bodies, node.position());
            bodies[at].visit(node);
        }
        true
    });
    bodies
}

/// Returns the index of the body that contains a position; the first is outside of functions.
fn body_at(bodies: &[FunctionBody<'_>], position: Position) -> usize {
    let position = line_and_column(position);
    let at = bodies.partition_point(|body| body.start <= position) - 1;
    if position <= bodies[at].end { at } else { 0 }
}

fn line_and_column(position: Position) -> (usize, usize) {
    (
        position.line().unwrap_or_default(),
        position.position().unwrap_or_default(),
    )
}

impl<'a> FunctionBody<'a> {
    /// Creates the body outside of all functions.
    fn outside(path: &'a str, source: &'a ScriptSource) -> Self {
        Self {
            path,
            source,
            name: "",
            params: Vec::new(),
            start: (0, 0),
            end: (usize::MAX, 0),
            calls: Vec::new(),
            mentioned: BTreeSet::new(),
            called_indirectly: BTreeSet::new(),
            assigned: BTreeSet::new(),
            runs_unknown_code: false,
        }
    }

    /// Adds a node of the syntax tree.
    fn visit(&mut self, node: &ASTNode<'_>) {
        match node {
            ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at)) => {
                self.visit_call(call, *at);
            }
            ASTNode::Expr(Expr::MethodCall(call, _)) => {
                self.mentioned.insert(call.name.to_string());
                self.called_indirectly.insert(call.name.to_string());
            }
            ASTNode::Expr(Expr::StringConstant(text, _)) => {
                self.mentioned.insert(text.to_string());
            }
            ASTNode::Expr(Expr::DynamicConstant(value, _)) => {
                if let Some(pointer) = value.read_lock::<FnPtr>() {
                    self.mentioned.insert(pointer.fn_name().into());
                    self.called_indirectly.insert(pointer.fn_name().into());
                }
            }
            ASTNode::Stmt(Stmt::Var(variable, ..)) => {
                self.assigned.insert(variable.0.name.to_string());
            }
            ASTNode::Stmt(Stmt::For(each, _)) => {
                self.assigned.insert(each.0.name.to_string());
            }
            ASTNode::Stmt(Stmt::Assignment(assignment)) => {
                self.assigned
                    .extend(variable_name(&assignment.1.lhs).map(str::to_owned));
            }
            ASTNode::Stmt(Stmt::Import(import, _)) => {
                self.runs_unknown_code |= !matches!(import.0, Expr::StringConstant(..));
            }
            _ => {}
        }
    }

    fn visit_call(&mut self, call: &FnCallExpr, position: Position) {
        match (call.name.as_str(), call.args.first()) {
            ("Fn", Some(Expr::StringConstant(name, _))) => {
                self.called_indirectly.insert(name.to_string());
            }
            ("eval" | "Fn", _) => self.runs_unknown_code = true,
            (name, _) => {
                self.mentioned.insert(name.into());
            }
        }
        self.calls.push((call.clone(), position));
    }

    /// Returns the path of the module before `::` in a call; empty if it is not imported.
    fn module(&self, call: &FnCallExpr) -> Option<&str> {
        if call.namespace.is_empty() {
            return None;
        }
        let import = self.source.imports.get(call.namespace.root());
        Some(import.map_or("", |import| import.path.as_str()))
    }

    /// Returns the index of the parameter that `expr` is, if the body does not set it.
    fn param_index(&self, expr: &Expr) -> Option<usize> {
        let name = variable_name(expr).filter(|name| !self.assigned.contains(*name))?;
        self.params.iter().position(|param| *param == name)
    }

    /// Returns the uses of parameters by its calls of `readers`.
    fn parameter_uses(&self, main: &str, readers: &[ParamReader<'a>]) -> Vec<ParameterUse<'a>> {
        let mut uses = Vec::new();
        for (call, position) in &self.calls {
            let paths = match self.module(call) {
                Some(path) => vec![path],
                None => vec![self.path, main, NATIVE],
            };
            let called = paths.iter().find_map(|path| {
                readers
                    .iter()
                    .find(|reader| reader.is_called_by(path, call))
            });
            if let Some(reader) = called {
                uses.push(self.parameter_use(call, *position, reader));
            }
        }
        uses
    }

    fn parameter_use(
        &self,
        call: &FnCallExpr,
        position: Position,
        reader: &ParamReader<'_>,
    ) -> ParameterUse<'a> {
        let arguments = argument_texts(&self.source.text, position);
        let text = |at: usize| arguments.get(at).cloned().unwrap_or_default();
        let name = &call.args[reader.name_at];
        if let Expr::StringConstant(name, _) = name {
            let default = match &reader.default {
                DefaultSource::Argument(at) => text(*at),
                DefaultSource::Text(text) => text.clone(),
            };
            return ParameterUse::Read(name.to_string(), default);
        }
        let Some(name_at) = self.param_index(name) else {
            return ParameterUse::Computed;
        };
        let default = match &reader.default {
            DefaultSource::Argument(at) => match self.param_index(&call.args[*at]) {
                Some(at) => DefaultSource::Argument(at),
                None => DefaultSource::Text(text(*at)),
            },
            DefaultSource::Text(text) => DefaultSource::Text(text.clone()),
        };
        ParameterUse::Forwarded(ParamReader {
            path: self.path,
            name: self.name,
            arity: self.params.len(),
            name_at,
            default,
        })
    }
}

fn variable_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Variable(variable, ..) if variable.2.is_empty() => Some(&variable.1),
        _ => None,
    }
}

impl ParamReader<'_> {
    fn is_same_function(&self, other: &ParamReader<'_>) -> bool {
        (self.path, self.name, self.arity) == (other.path, other.name, other.arity)
    }

    /// Returns true if `call` calls it in the module `path`.
    fn is_called_by(&self, path: &str, call: &FnCallExpr) -> bool {
        (self.path, self.name, self.arity) == (path, call.name.as_str(), call.args.len())
    }
}

/// Returns the texts of the arguments of the call at `position`.
fn argument_texts(text: &str, position: Position) -> Vec<String> {
    let (line, column) = line_and_column(position);
    let lines = text.split_inclusive('\n').skip(line.saturating_sub(1));
    let from_call = lines.flat_map(str::chars).skip(column.saturating_sub(1));
    let mut depth = 0;
    let mut quote = None;
    let mut is_escaped = false;
    let mut arguments = vec![String::new()];
    for c in from_call {
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), c) => quote = Some(open).filter(|open| *open != c),
            (None, '"' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        match (depth, c) {
            (0, ')') => break,
            (1, '(') if arguments == [""] => arguments[0].clear(),
            (1, ',') if quote.is_none() => arguments.push(String::new()),
            (0, _) => {}
            _ => arguments.last_mut().expect("one argument at least").push(c),
        }
    }
    arguments
        .iter()
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> ScriptParameters {
        let folder = tempfile::tempdir().expect("a folder");
        let module = "fn asked(name, usual) { param(name, usual) }
            fn both(a, b) { asked(\"first\", a) + asked(\"second\", b) }";
        std::fs::write(folder.path().join("mine.rhai"), module).expect("a module");
        ScriptParameters::find("main.rhai", text, folder.path())
    }

    fn defaults(parameters: &ScriptParameters, test: &str) -> Vec<String> {
        parameters.by_test[test]
            .iter()
            .map(|(name, default)| format!("{name}={default}"))
            .collect()
    }

    #[test]
    fn tests_have_the_parameters_of_all_functions_that_they_reach() {
        let found = find(
            "const AT_TOP = param(\"top\", \"a, b\");
            fn test_a() { helper(2); [1].map(|x| param(\"inside\", x)); }
            fn test_b() { param(\"own\", #{ a: [1, 2] }) }
            private fn helper(usual) { param(\"gap_s\", 8 +
                usual) }
            private fn unreached() { param(\"nowhere\", ()) }",
        );
        assert_eq!(
            defaults(&found, "test_a"),
            ["gap_s=8 + usual", "inside=x", "top=\"a, b\""]
        );
        assert_eq!(
            defaults(&found, "test_b"),
            ["own=#{ a: [1, 2] }", "top=\"a, b\""]
        );
        assert!(found.names.contains("nowhere") && !found.is_incomplete);
    }

    #[test]
    fn names_are_followed_through_functions_and_modules() {
        let found = find(
            "import \"mine\" as mine;
            fn test_a() { number(\"n\", 1) + mine::asked(\"m\", 2) }
            fn test_b() { mine::both(3, 4) }
            private fn number(name, usual) { whole(usual, name) }
            private fn whole(usual, name) { param(name, usual) }",
        );
        assert_eq!(defaults(&found, "test_a"), ["m=2", "n=1"]);
        assert_eq!(defaults(&found, "test_b"), ["first=a", "second=b"]);
        assert!(!found.is_incomplete);
    }

    #[test]
    fn parameters_of_imported_library_modules_are_found() {
        let found = find(
            "import \"std/openai\" as openai; fn test_a() { openai::engine(#{}) } fn test_b() {}",
        );
        assert!(found.by_test["test_a"].contains_key("url") && found.by_test["test_b"].is_empty());
        assert!(!found.is_incomplete);
    }

    #[test]
    fn computed_names_make_the_parameters_incomplete() {
        let computed = [
            "param(`x${1}`, 1)",
            "let name = \"x\"; param(name, 1)",
            "\"x\".param(1)",
            "Fn(\"param\").call(\"x\", 1)",
            "changed(\"x\")",
            "[\"x\"].map(|name| param(name, 1))",
            "[\"x\"].map(changed)",
            "eval(\"param(1, 2)\")",
            "import \"a\" + \"b\" as m;",
        ];
        for code in computed {
            let mut text = format!("fn test_a() {{ {code} }}");
            if code.contains("changed") {
                text += "\nprivate fn changed(name) { name = name + 1; param(name, 1) }";
            }
            assert!(find(&text).is_incomplete, "{code}");
        }
        assert!(
            find("fn test_a() { [\"x\"].map(asked) } private fn asked(name) { param(name, 1) }")
                .is_incomplete
        );
        assert!(find("import \"missing\" as m; fn test_a() {}").is_incomplete);
    }
}
