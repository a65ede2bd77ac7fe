//! Texts in double quotes that name a variable as only backticks do.

use super::Finding;
use crate::script::diagnostic::ScriptError;
use crate::script::source::ScriptSource;
use regex::Regex;
use rhai::{ASTNode, Expr, Position};

/// A warning for each of them whose `${name}` is a variable of the script.
pub fn of(source: &ScriptSource) -> Vec<Finding> {
    let mut texts: Vec<(Position, String)> = Vec::new();
    source.ast.walk(&mut |path| {
        if let Some(ASTNode::Expr(Expr::StringConstant(text, position))) = path.last() {
            texts.push((*position, text.to_string()));
        }
        true
    });
    texts
        .iter()
        .filter_map(|(position, text)| finding(source, *position, text))
        .collect()
}

fn finding(source: &ScriptSource, position: Position, text: &str) -> Option<Finding> {
    let name = text.split_once("${")?.1.split_once('}')?.0;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let declared = Regex::new(&format!(r"\b(?:let|const|for)\s+{name}\b"))
        .ok()
        .filter(|_| is_name)?;
    declared.is_match(&source.text).then(|| {
        let fault = ScriptError::new(format!("`${{{name}}}` is no value in double quotes"));
        let help = "put the text into backticks: `${x}` is the value of `x` there";
        Finding::warning(position, fault.at_word(&format!("${{{name}}}")).help(help))
    })
}
