//! The inputs of a session as a script.

use super::{LAST, parsed};
use crate::script::modules::STD;
use rhai::{AST, ASTFlags, Stmt};

/// An input that did not fail.
pub struct Kept {
    /// Imports, functions and constants of their own, which stand at the top of a script.
    declares: String,
    /// What is done.
    acts: String,
    /// True if it only looks at something.
    looks: bool,
    /// True if its value was put into [`LAST`].
    gives: bool,
}

impl Kept {
    /// `input`, whose syntax tree is `ast`. `gives` is true if its value was put into [`LAST`].
    pub fn of(input: &str, ast: &AST, gives: bool) -> Self {
        let input = input.trim();
        let (declares, acts) = input.split_at(declared(input, ast));
        let looks = matches!(ast.statements(), [Stmt::Expr(_)]) && !acts.contains('(');
        Self {
            declares: declares.trim().into(),
            acts: acts.trim().into(),
            looks,
            gives,
        }
    }

    /// The name of the constant that it is.
    fn constant(&self) -> Option<&str> {
        self.acts
            .strip_prefix("const ")?
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    }
}

/// How much of `input` declares functions, imports and what stands between them, before anything is done.
fn declared(input: &str, ast: &AST) -> usize {
    if functions(ast) == 0 && !ast.statements().iter().any(is_import) {
        return 0;
    }
    let declares = |statement: &Stmt| is_import(statement) || is_constant(statement);
    let all_declare =
        |text: &str| parsed(text).is_ok_and(|ast| ast.statements().iter().all(declares));
    let mut ends = input.match_indices(['}', ';']).map(|(at, _)| at + 1);
    let split = ends.rfind(|end| all_declare(&input[..*end])).unwrap_or(0);
    // A function can only stand at the top of a script.
    if parsed(&input[split..]).is_ok_and(|rest| functions(&rest) > 0) {
        input.len()
    } else {
        split
    }
}

fn functions(ast: &AST) -> usize {
    ast.iter_functions()
        .filter(|f| !f.name.starts_with("anon$"))
        .count()
}

fn is_import(statement: &Stmt) -> bool {
    matches!(statement, Stmt::Import(..))
}

fn is_constant(statement: &Stmt) -> bool {
    matches!(statement, Stmt::Var(_, flags, _) if flags.contains(ASTFlags::CONSTANT))
}

/// What was kept as a script with the test `test`.
pub fn script(kept: &[Kept], test: &str) -> String {
    let declared = kept
        .iter()
        .map(|kept| kept.declares.as_str())
        .filter(|part| !part.is_empty());
    let (imported, declared): (Vec<&str>, Vec<&str>) =
        declared.partition(|part| part.starts_with("import "));
    let top = [imported.join("\n"), declared.join("\n\n")].join("\n");
    let body: String = acts(kept)
        .iter()
        .map(|input| indented(&closed(input)))
        .collect();
    // Functions see the constants of a script's top only.
    let is_seen = |kept: &&Kept| {
        kept.constant()
            .is_some_and(|name| top.contains(&format!("global::{name}")))
    };
    let constants: Vec<String> = kept
        .iter()
        .filter(is_seen)
        .map(|kept| closed(&kept.acts))
        .collect();
    let imports = imports(&top, &body);
    let imports = [imports, imported.join("\n")]
        .into_iter()
        .filter(|part| !part.is_empty());
    let parts = [
        imports.collect::<Vec<_>>().join("\n"),
        constants.join("\n"),
        declared.join("\n\n"),
    ];
    let head: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let test = format!("/// What was done at the prompt.\nfn {test}() {{\n{body}}}\n");
    head.into_iter()
        .chain([test])
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// Returns the statements of the inputs in order. If one reads [`LAST`], the input that gave its value
/// declares it; inputs that only look at something are skipped.
fn acts(kept: &[Kept]) -> Vec<String> {
    let (mut acts, mut is_read) = (Vec::new(), false);
    for kept in kept.iter().rev().filter(|kept| !kept.acts.is_empty()) {
        let declares = kept.gives && is_read;
        if kept.looks && !declares {
            continue;
        }
        is_read = reads_last(&kept.acts) || (is_read && !declares);
        acts.push(if declares {
            with_value_named(&kept.acts)
        } else {
            kept.acts.clone()
        });
    }
    acts.reverse();
    acts
}

/// Returns true if the variable [`LAST`] occurs in `text`.
fn reads_last(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(LAST).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + LAST.len()..]);
        !before.ends_with(|c| is_word(c) || c == '.')
            && !after.starts_with(|c| is_word(c) || "(:".contains(c))
    })
}

/// The statements of `acts`, of which the last declares [`LAST`].
fn with_value_named(acts: &str) -> String {
    let acts = acts.trim_end_matches(';');
    let is_value = |text: &str| parsed(text).is_ok_and(|ast| ast.statements().len() == 1);
    let starts = acts.rmatch_indices(';').map(|(at, _)| at + 1).chain([0]);
    let mut starts = starts.filter(|start| is_value(&acts[*start..]));
    let start = starts
        .find(|start| parsed(&acts[..*start]).is_ok())
        .unwrap_or(0);
    let (before, value) = acts.split_at(start);
    [before.trim(), &format!("let {LAST} = {}", value.trim())]
        .join(" ")
        .trim()
        .to_owned()
}

/// An input in the body of a function. In a text of several lines, spaces would change the text.
fn indented(input: &str) -> String {
    if input.contains('`') {
        return format!("    {input}\n");
    }
    input
        .lines()
        .map(|line| {
            if line.is_empty() {
                "\n".into()
            } else {
                format!("    {line}\n")
            }
        })
        .collect()
}

/// An input as a statement.
fn closed(input: &str) -> String {
    let is_closed = input.ends_with([';', '}'])
        || input
            .lines()
            .last()
            .is_some_and(|line| line.trim_start().starts_with("//"));
    if is_closed && !input.starts_with("let") {
        input.to_owned()
    } else {
        format!("{};", input.trim_end_matches(';'))
    }
}

/// The imports of the library's modules that are used and not imported.
fn imports(declares: &str, acts: &str) -> String {
    let text = format!("{declares}\n{acts}");
    let uses = |alias: &str| {
        let call = format!("{alias}::");
        text.match_indices(&call)
            .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c)))
    };
    let imported = |alias: &str| text.contains(&format!("as {alias};"));
    let lines = STD.iter().filter_map(|(path, _)| {
        let alias = super::Session::alias(path);
        (uses(alias) && !imported(alias)).then(|| format!("import \"{path}\" as {alias};"))
    });
    lines.collect::<Vec<_>>().join("\n")
}
