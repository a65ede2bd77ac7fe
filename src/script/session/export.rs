//! The inputs of a session as a script.

use super::evaluate::LAST;
use super::parse::parse;
use crate::script::modules::{STD, alias};
use rhai::{AST, ASTFlags, Stmt};

/// An input that did not fail.
pub(super) struct SavedInput {
    /// Imports, functions and constants, which go to the top of a script.
    declarations: String,
    /// The rest.
    statements: String,
    /// True if it only reads a value.
    is_read_only: bool,
    /// True if its value became [`LAST`].
    sets_last: bool,
}

impl SavedInput {
    /// Creates one from `input` with the syntax tree `ast`.
    pub(super) fn new(input: &str, ast: &AST, sets_last: bool) -> Self {
        let input = input.trim();
        let (declarations, statements) = input.split_at(declarations_end(input, ast));
        let is_expression = matches!(ast.statements(), [Stmt::Expr(_)]);
        Self {
            declarations: declarations.trim().into(),
            statements: statements.trim().into(),
            is_read_only: is_expression && !statements.contains('('),
            sets_last,
        }
    }

    /// Returns the name of the constant that it declares.
    fn constant_name(&self) -> Option<&str> {
        self.statements
            .strip_prefix("const ")?
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    }
}

/// Returns the length of the start of `input` that only has functions, imports and constants; 0 if
/// there is neither a function nor an import.
fn declarations_end(input: &str, ast: &AST) -> usize {
    if !has_functions(ast) && !ast.statements().iter().any(is_import) {
        return 0;
    }
    let split = input
        .match_indices(['}', ';'])
        .map(|(at, _)| at + 1)
        .rfind(|end| is_declarations(&input[..*end]))
        .unwrap_or(0);
    // Functions must be at the top of a script.
    match parse(&input[split..]) {
        Ok(rest) if has_functions(&rest) => input.len(),
        _ => split,
    }
}

fn is_declarations(text: &str) -> bool {
    parse(text).is_ok_and(|ast| {
        ast.statements()
            .iter()
            .all(|statement| is_import(statement) || is_constant(statement))
    })
}

fn has_functions(ast: &AST) -> bool {
    ast.iter_functions().any(|f| !f.name.starts_with("anon$"))
}

fn is_import(statement: &Stmt) -> bool {
    matches!(statement, Stmt::Import(..))
}

fn is_constant(statement: &Stmt) -> bool {
    matches!(statement, Stmt::Var(_, flags, _) if flags.contains(ASTFlags::CONSTANT))
}

/// Returns inputs as a script with the test `test`.
pub(super) fn script(inputs: &[SavedInput], test: &str) -> String {
    let (imports, declarations): (Vec<&str>, Vec<&str>) = inputs
        .iter()
        .map(|input| input.declarations.as_str())
        .filter(|text| !text.is_empty())
        .partition(|text| text.starts_with("import "));
    let top = [imports.join("\n"), declarations.join("\n\n")].join("\n");
    let mut body = String::new();
    for statements in statements(inputs) {
        body += &indented(&terminated(&statements));
    }
    let mut constants = Vec::new();
    for input in inputs {
        // Functions see only the constants at the top of a script.
        if let Some(name) = input.constant_name()
            && top.contains(&format!("global::{name}"))
        {
            constants.push(terminated(&input.statements));
        }
    }
    let mut all_imports = library_imports(&format!("{top}\n{body}"));
    all_imports.extend(imports.into_iter().map(str::to_owned));
    let parts = [
        all_imports.join("\n"),
        constants.join("\n"),
        declarations.join("\n\n"),
        format!("/// The inputs of a session at the prompt.\nfn {test}() {{\n{body}}}\n"),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n\n")
}

/// Returns the statements of the inputs. An input that sets a [`LAST`] that is read declares it.
/// Other inputs that only read a value are skipped.
fn statements(inputs: &[SavedInput]) -> Vec<String> {
    let mut statements = Vec::new();
    let mut is_last_read = false;
    for input in inputs
        .iter()
        .rev()
        .filter(|input| !input.statements.is_empty())
    {
        let declares_last = input.sets_last && is_last_read;
        if input.is_read_only && !declares_last {
            continue;
        }
        is_last_read = reads_last(&input.statements) || (is_last_read && !declares_last);
        statements.push(if declares_last {
            with_last_declared(&input.statements)
        } else {
            input.statements.clone()
        });
    }
    statements.reverse();
    statements
}

/// Returns true if `text` contains the variable [`LAST`].
fn reads_last(text: &str) -> bool {
    text.match_indices(LAST).any(|(at, _)| {
        let before = &text[..at];
        let after = &text[at + LAST.len()..];
        !before.ends_with(|c| is_word(c) || c == '.')
            && !after.starts_with(|c| is_word(c) || "(:".contains(c))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Makes the last of `statements` declare [`LAST`].
fn with_last_declared(statements: &str) -> String {
    let statements = statements.trim_end_matches(';');
    let start = statements
        .rmatch_indices(';')
        .map(|(at, _)| at + 1)
        .find(|start| {
            is_one_statement(&statements[*start..]) && parse(&statements[..*start]).is_ok()
        })
        .unwrap_or(0);
    let (before, value) = statements.split_at(start);
    let declaration = format!("let {LAST} = {}", value.trim());
    format!("{} {declaration}", before.trim())
        .trim_start()
        .to_owned()
}

fn is_one_statement(text: &str) -> bool {
    parse(text).is_ok_and(|ast| ast.statements().len() == 1)
}

/// Indents an input, unless it contains a string of several lines, which spaces would change.
fn indented(input: &str) -> String {
    if input.contains('`') {
        return format!("    {input}\n");
    }
    let mut indented = String::new();
    for line in input.lines() {
        if !line.is_empty() {
            indented += "    ";
        }
        indented += line;
        indented.push('\n');
    }
    indented
}

/// Returns an input with a semicolon if it needs one.
fn terminated(input: &str) -> String {
    let last_line = input.lines().last().unwrap_or_default();
    let is_terminated = input.ends_with([';', '}']) || last_line.trim_start().starts_with("//");
    if is_terminated && !input.starts_with("let") {
        input.to_owned()
    } else {
        format!("{};", input.trim_end_matches(';'))
    }
}

/// Returns the imports of library modules that a script uses but does not import.
fn library_imports(script: &str) -> Vec<String> {
    STD.iter()
        .map(|(path, _)| (path, alias(path)))
        .filter(|(_, alias)| uses(script, alias) && !script.contains(&format!("as {alias};")))
        .map(|(path, alias)| format!("import \"{path}\" as {alias};"))
        .collect()
}

fn uses(script: &str, alias: &str) -> bool {
    script
        .match_indices(&format!("{alias}::"))
        .any(|(at, _)| !script[..at].ends_with(|c: char| is_word(c) || c == ':'))
}
