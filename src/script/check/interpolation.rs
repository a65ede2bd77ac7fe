//! Strings in double quotes that contain `${…}`, which only backticks interpolate.

use super::finding::ScriptFinding;
use crate::script::diagnostic::ScriptError;
use crate::script::source::ScriptSource;
use regex::Regex;
use rhai::{ASTNode, Expr, Position};

/// Returns a warning for each string whose `${name}` is a variable of the script.
pub(super) fn find(source: &ScriptSource) -> Vec<ScriptFinding> {
    let mut findings = Vec::new();
    source.ast.walk(&mut |path| {
        if let Some(ASTNode::Expr(Expr::StringConstant(text, position))) = path.last() {
            findings.extend(finding(source, *position, text));
        }
        true
    });
    findings
}

fn finding(source: &ScriptSource, position: Position, text: &str) -> Option<ScriptFinding> {
    let name = text.split_once("${")?.1.split_once('}')?.0;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let declaration = Regex::new(&format!(r"\b(?:let|const|for)\s+{name}\b")).ok()?;
    if !declaration.is_match(&source.text) {
        return None;
    }
    let fault = ScriptError::new(format!(
        "`${{{name}}}` is not interpolated in double quotes"
    ))
    .at_word(&format!("${{{name}}}"))
    .help(format!(
        "use backticks: `${{{name}}}` is the value of `{name}` there"
    ));
    Some(ScriptFinding::warning(position, fault))
}
