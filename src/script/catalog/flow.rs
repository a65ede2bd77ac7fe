//! Where the values of a function body go: what a call is given, and what becomes of a map's entries.

use rhai::{AST, ASTNode, BinaryExpr, Expr, FnCallExpr, Stmt};

/// The calls of functions in a script.
pub fn calls(body: &AST) -> Vec<FnCallExpr> {
    let mut calls = Vec::new();
    body.walk(&mut |nodes| {
        if let Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) =
            nodes.last()
        {
            calls.push(call.as_ref().clone());
        }
        true
    });
    calls
}

/// The parts of a sum; what is none is its own part.
pub fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::FnCall(call, _) if call.name == "+" => call.args.iter().flat_map(parts).collect(),
        other => vec![other],
    }
}

/// Whether an expression is the variable `name`.
pub fn is_variable(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Variable(variable, ..) if variable.2.is_empty() && variable.1 == name)
}

/// How often an argument is `param`, or a sum with it.
pub fn times_in(argument: &Expr, param: &str) -> usize {
    parts(argument)
        .into_iter()
        .filter(|part| is_variable(part, param))
        .count()
}

/// How often a script names the variable `param`.
pub fn uses(body: &AST, param: &str) -> usize {
    let mut uses = 0;
    body.walk(&mut |nodes| {
        if let Some(ASTNode::Expr(Expr::Variable(variable, ..))) = nodes.last() {
            uses += usize::from(variable.1 == param);
        }
        true
    });
    uses
}

/// What the variables of a script begin as.
pub fn variables(body: &AST) -> Vec<(String, Expr)> {
    let mut variables = Vec::new();
    body.walk(&mut |nodes| {
        if let Some(ASTNode::Stmt(Stmt::Var(var, ..))) = nodes.last() {
            variables.push((var.0.name.to_string(), var.1.clone()));
        }
        true
    });
    variables
}

/// The entries of the maps that stand in an argument, alone or in a sum.
pub fn entries<'e>(argument: &'e Expr) -> Vec<(&'e str, &'e Expr)> {
    let of = |part: &'e Expr| match part {
        Expr::Map(map, _) => map
            .0
            .iter()
            .map(|(key, value)| (key.name.as_str(), value))
            .collect(),
        _ => Vec::new(),
    };
    parts(argument).into_iter().flat_map(of).collect()
}

/// `name` where an expression is `map.name`, with or without a value in place of `()`.
pub fn property<'e>(expr: &'e Expr, map: &str) -> Option<&'e str> {
    match expr {
        Expr::Dot(dot, ..) => match dot.as_ref() {
            BinaryExpr {
                lhs,
                rhs: Expr::Property(property, _),
            } if is_variable(lhs, map) => Some(property.2.as_str()),
            _ => None,
        },
        Expr::Coalesce(either, ..) => property(either.first()?, map),
        _ => None,
    }
}
