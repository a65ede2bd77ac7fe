//! The calls in a script.

use crate::script::source::ScriptSource;
use rhai::{ASTNode, Expr, FnCallExpr, Position, Stmt};

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `f(x)`.
    Function,
    /// `x.f()`.
    Method,
}

/// One call.
#[derive(Clone)]
pub struct Call {
    /// How.
    pub style: Style,
    /// What is called, and with what.
    pub expr: FnCallExpr,
    /// Where.
    pub position: Position,
}

impl Call {
    /// What stands before `::`.
    pub fn namespace(&self) -> Option<&str> {
        (!self.expr.namespace.is_empty()).then(|| self.expr.namespace.root())
    }
}

/// All calls in a script but those of operators, in their order; Rhai keeps functions in none.
pub fn of(source: &ScriptSource) -> Vec<Call> {
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
        if let Some((style, call, position)) = call.filter(|(_, call, _)| !call.is_operator_call())
        {
            let position = call
                .namespace
                .path
                .first()
                .map_or(position, |root| root.pos);
            calls.push(Call {
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

/// The names under which a script keeps something in a map, where it may be a function.
pub fn map_keys(source: &ScriptSource) -> Vec<String> {
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
