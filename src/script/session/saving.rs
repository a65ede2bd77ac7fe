//! The inputs of a session as a script.

use super::parsed;
use crate::script::modules::STD;
use rhai::{AST, Stmt};

/// An input that did not fail.
pub struct Kept {
    /// Imports, functions and constants of their own, which stand at the top of a script.
    declares: String,
    /// What is done.
    acts: String,
}

impl Kept {
    /// `input`, of which `ast` was made. What only looks at something is nothing to be done.
    pub fn of(input: &str, ast: &AST) -> Self {
        let input = input.trim();
        let (declares, acts) = input.split_at(declared(input, ast));
        let looks = matches!(ast.statements(), [Stmt::Expr(_)]) && !acts.contains('(');
        Self { declares: declares.trim().into(), acts: if looks { String::new() } else { acts.trim().into() } }
    }

    /// The name of the constant that it is.
    fn constant(&self) -> Option<&str> {
        self.acts.strip_prefix("const ")?.split(|c: char| !c.is_alphanumeric() && c != '_').next()
    }
}

/// How much of `input` declares functions and imports, before anything is done.
fn declared(input: &str, ast: &AST) -> usize {
    let functions = |ast: &AST| ast.iter_functions().filter(|f| !f.name.starts_with("anon$")).count();
    let is_import = |statement: &Stmt| matches!(statement, Stmt::Import(..));
    if functions(ast) == 0 && !ast.statements().iter().any(is_import) {
        return 0;
    }
    let declares = |text: &str| parsed(text).is_ok_and(|ast| ast.statements().iter().all(is_import));
    let ends = input.match_indices(['}', ';']).map(|(at, _)| at + 1);
    ends.filter(|end| declares(&input[..*end])).last().unwrap_or(0)
}

/// What was kept as a script with the test `test`.
pub fn script(kept: &[Kept], test: &str) -> String {
    let join = |part: fn(&Kept) -> &str, between| {
        let parts: Vec<String> = kept.iter().map(part).filter(|part| !part.is_empty()).map(closed).collect();
        parts.join(between)
    };
    let declares = join(|kept| &kept.declares, "\n\n");
    let acts = join(|kept| &kept.acts, "\n");
    // Functions see the constants of a script's top only.
    let is_seen = |kept: &&Kept| kept.constant().is_some_and(|name| declares.contains(&format!("global::{name}")));
    let constants: Vec<String> = kept.iter().filter(is_seen).map(|kept| closed(&kept.acts)).collect();
    let imports = imports(&declares, &acts);
    let body: String = acts.lines().map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") }).collect();
    let head: Vec<String> = [imports, constants.join("\n"), declares].into_iter().filter(|part| !part.is_empty()).collect();
    let test = format!("/// What was done at the prompt.\nfn {test}() {{\n{body}}}\n");
    head.into_iter().chain([test]).collect::<Vec<_>>().join("\n\n")
}

/// An input as a statement.
fn closed(input: &str) -> String {
    let is_closed = input.ends_with([';', '}']) || input.lines().last().is_some_and(|line| line.trim_start().starts_with("//"));
    if is_closed && !input.starts_with("let") { input.to_owned() } else { format!("{};", input.trim_end_matches(';')) }
}

/// The imports of the library's modules that are used and not imported.
fn imports(declares: &str, acts: &str) -> String {
    let text = format!("{declares}\n{acts}");
    let uses = |alias: &str| {
        let call = format!("{alias}::");
        text.match_indices(&call).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c)))
    };
    let imported = |alias: &str| text.contains(&format!("as {alias};"));
    let lines = STD.iter().filter_map(|(path, _)| {
        let alias = super::Session::alias(path);
        (uses(alias) && !imported(alias)).then(|| format!("import \"{path}\" as {alias};"))
    });
    lines.collect::<Vec<_>>().join("\n")
}
