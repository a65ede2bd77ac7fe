//! Divisions of whole numbers, which fail if a remainder is left.

use super::finding::ScriptFinding;
use crate::script::api::remainder;
use crate::script::diagnostic::ScriptError;
use crate::script::source::ScriptSource;
use rhai::{ASTFlags, ASTNode, Expr, FnCallExpr, Position};

/// Properties and functions whose values are whole numbers.
const WHOLE: [&str; 3] = ["count", "failed", "len"];

/// Returns a warning for each division whose operands are both known to be whole numbers, and a
/// mistake for each division of two literals that leaves a remainder.
pub(super) fn find(source: &ScriptSource) -> Vec<ScriptFinding> {
    let mut findings = Vec::new();
    source.ast.walk(&mut |nodes| {
        if let Some(ASTNode::Expr(Expr::FnCall(call, position))) = nodes.last() {
            findings.extend(finding(call, *position));
        }
        true
    });
    findings
}

fn finding(call: &FnCallExpr, position: Position) -> Option<ScriptFinding> {
    let [a, b] = call.args.as_slice() else {
        return None;
    };
    if call.name != "/" || !(is_whole(a) && is_whole(b)) {
        return None;
    }
    if let (Expr::IntegerConstant(a, _), Expr::IntegerConstant(b, _)) = (a, b) {
        let leaves_some = a.checked_rem(*b).is_some_and(|rest| rest != 0);
        return leaves_some.then(|| ScriptFinding::mistake(position, remainder(*a, *b)));
    }
    let help = match last_name(a) {
        Some("failed") => "`error_rate` is the share of failed requests",
        _ => "`a.to_float() / b` keeps the fraction, `div_floor(a, b)` rounds down",
    };
    let fault = ScriptError::new("dividing whole numbers fails if a remainder is left").help(help);
    Some(ScriptFinding::warning(position, fault))
}

/// Returns true if an expression is certainly a whole number, whatever the variables in it are.
fn is_whole(expr: &Expr) -> bool {
    match expr {
        Expr::IntegerConstant(..) => true,
        Expr::FnCall(call, _) if ["+", "-", "*", "%"].contains(&call.name.as_str()) => {
            call.args.iter().all(is_whole)
        }
        _ => last_name(expr).is_some_and(|name| WHOLE.contains(&name)),
    }
}

/// The property, or the method without arguments, at the end of `a.b[c].d`.
fn last_name(expr: &Expr) -> Option<&str> {
    match expr {
        // If the chain ends here, the rest is an index, and not part of it.
        Expr::Index(_, flags, _) if flags.contains(ASTFlags::BREAK) => None,
        Expr::Dot(chain, ..) | Expr::Index(chain, ..) => last_name(&chain.rhs),
        Expr::Property(property, _) => Some(&property.2),
        Expr::MethodCall(call, _) if call.args.is_empty() => Some(&call.name),
        _ => None,
    }
}
