//! The inputs of a session as a script.

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
    /// `input`, which stood below `before` lines when `ast` was made of it.
    pub fn of(input: &str, ast: &AST, before: usize) -> Self {
        let is_import = |statement: &Stmt| matches!(statement, Stmt::Import(..));
        let first = ast.statements().iter().find(|statement| !is_import(statement) && !matches!(statement, Stmt::Noop(_)));
        let split = first.map_or(input.len(), |first| offset(input, first.position(), before));
        let (declares, acts) = input.split_at(split);
        Self { declares: declares.trim().into(), acts: acts.trim().into() }
    }
}

/// Where a position of the whole session lies in one input.
fn offset(input: &str, position: rhai::Position, before: usize) -> usize {
    let line = position.line().unwrap_or(1) - before - 1;
    let start: usize = input.split_inclusive('\n').take(line).map(str::len).sum();
    let column = position.position().unwrap_or(1) - 1;
    start + input[start..].chars().take(column).map(char::len_utf8).sum::<usize>()
}

/// What was kept as a script with the test `test`.
pub fn script(kept: &[Kept], test: &str) -> String {
    let join = |part: fn(&Kept) -> &str, between| {
        let parts: Vec<String> = kept.iter().map(part).filter(|part| !part.is_empty()).map(closed).collect();
        parts.join(between)
    };
    let declares = join(|kept| &kept.declares, "\n\n");
    let acts = join(|kept| &kept.acts, "\n");
    let imports = imports(&declares, &acts);
    let body: String = acts.lines().map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") }).collect();
    let head: Vec<String> = [imports, declares].into_iter().filter(|part| !part.is_empty()).collect();
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
