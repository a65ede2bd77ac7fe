//! The calls in a script.

use crate::script::source::ScriptSource;
use rhai::{ASTNode, Expr, FnCallExpr, Position, Stmt};

/// The syntax of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`.
    Function,
    /// `x.f()`.
    Method,
}

/// A call in a script.
#[derive(Clone)]
pub(super) struct ScriptCall {
    /// The syntax.
    pub(super) style: Style,
    /// The function and the arguments.
    pub(super) expr: FnCallExpr,
    /// The position of the function's name, with its module.
    pub(super) position: Position,
}

impl ScriptCall {
    /// The alias before `::`.
    pub(super) fn namespace(&self) -> Option<&str> {
        (!self.expr.namespace.is_empty()).then(|| self.expr.namespace.root())
    }
}

/// Returns all calls in a script except those of operators, in their order in the text.
pub(super) fn find(source: &ScriptSource) -> Vec<ScriptCall> {
    let mut calls = Vec::new();
    source.ast.walk(&mut |nodes| {
        let call = match nodes.last() {
            Some(
                ASTNode::Expr(Expr::FnCall(call, position))
                | ASTNode::Stmt(Stmt::FnCall(call, position)),
            ) => Some((Style::Function, call, *position)),
            Some(ASTNode::Expr(Expr::MethodCall(call, position))) => {
                Some((Style::Method, call, *position))
            }
            _ => None,
        };
        if let Some((style, call, position)) = call
            && !call.is_operator_call()
        {
            let position = call
                .namespace
                .path
                .first()
                .map_or(position, |root| root.pos);
            calls.push(ScriptCall {
                style,
                expr: call.as_ref().clone(),
                position,
            });
        }
        true
    });
    calls.sort_by_key(|call| (call.position.line(), call.position.position()));
    calls
}

/// The keys of the maps of a script. Their values may be functions.
pub(super) fn map_keys(source: &ScriptSource) -> Vec<String> {
    let mut keys = Vec::new();
    source.ast.walk(&mut |nodes| {
        match nodes.last() {
            Some(ASTNode::Expr(Expr::Map(map, _))) => {
                keys.extend(map.0.iter().map(|(key, _)| key.name.to_string()));
            }
            Some(ASTNode::Expr(Expr::Property(property, _))) => keys.push(property.2.to_string()),
            _ => {}
        }
        true
    });
    keys
}
