//! Which options a function takes: followed from the call to where the keys are checked.

use super::item::OptionKey;
use crate::script::api;
use crate::script::source::{Source, Sources};
use rhai::{AST, ASTNode, Expr, FnCallExpr, Stmt};

/// The options that one parameter of a function takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which parameter.
    pub position: usize,
    /// The keys.
    pub keys: Vec<String>,
}

/// Each of `keys` with what `docs` say of it.
pub fn explained(keys: &[impl AsRef<str>], docs: &[OptionKey]) -> Vec<OptionKey> {
    let mut order: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    // As they are explained; what is not explained comes last.
    order.sort_by_key(|key| docs.iter().position(|doc| doc.name == *key).unwrap_or(usize::MAX));
    let explain = |name: &str| {
        let plain = || OptionKey { name: name.into(), default: None, doc: String::new() };
        docs.iter().find(|doc| doc.name == name).cloned().unwrap_or_else(plain)
    };
    order.into_iter().map(explain).collect()
}

/// The options that the function `name` of the script `path` takes when it is called with `arity` arguments.
/// A parameter of which anything else is done than handing it on as options is none.
pub fn taken(sources: &Sources, path: &str, name: &str, arity: usize) -> Vec<Taken> {
    Search { sources, entered: Vec::new() }.function(path, name, arity)
}

struct Search<'a> {
    sources: &'a Sources,
    entered: Vec<(String, String, usize)>,
}

impl Search<'_> {
    fn function(&mut self, path: &str, name: &str, arity: usize) -> Vec<Taken> {
        let key = (path.to_owned(), name.to_owned(), arity);
        let Some(source) = self.sources.get(path).filter(|_| !self.entered.contains(&key)) else {
            return Vec::new();
        };
        let functions = source.functions();
        let Some(function) = functions.iter().find(|f| f.name == name && f.params.len() == arity) else {
            return Vec::new();
        };
        self.entered.push(key);
        let body = source.body(name, arity);
        let all = function.params.iter().enumerate().filter_map(|(position, param)| {
            let keys = self.handed_on(source, path, &body, param)?;
            Some(Taken { position, keys })
        });
        let all = all.collect();
        self.entered.pop();
        all
    }

    /// The keys of all that `param` is handed on to, if nothing else is done with it.
    fn handed_on(&mut self, source: &Source, path: &str, body: &AST, param: &str) -> Option<Vec<String>> {
        let mut keys = Vec::new();
        let mut handed = 0;
        for call in calls(body) {
            for (position, argument) in call.args.iter().enumerate() {
                let times = times_in(argument, param);
                if times > 0
                    && let Some(more) = self.keys_of(source, path, body, &call, position)
                {
                    handed += times;
                    keys.extend(more.into_iter().filter(|key| !keys.contains(key)).collect::<Vec<_>>());
                }
            }
        }
        (handed > 0 && handed == uses(body, param)).then_some(keys)
    }

    /// The keys of the options that `call` takes at `position`.
    fn keys_of(
        &mut self,
        source: &Source,
        path: &str,
        body: &AST,
        call: &FnCallExpr,
        position: usize,
    ) -> Option<Vec<String>> {
        let target = if call.namespace.is_empty() {
            path.to_owned()
        } else {
            source.imports.get(call.namespace.root())?.path.clone()
        };
        if target == "core/options" && call.name == "fill" {
            return (position == 1).then(|| filled(body, call.args.get(2)?)).flatten();
        }
        let arity = call.args.len();
        let own =
            self.function(&target, &call.name, arity).into_iter().find(|taken| taken.position == position);
        own.map(|taken| taken.keys).or_else(|| native(&target, call, position))
    }
}

/// The keys of the options that a call of a native takes.
fn native(target: &str, call: &FnCallExpr, position: usize) -> Option<Vec<String>> {
    let module = if call.namespace.is_empty() { "core/run" } else { target };
    let first = match call.args.first() {
        Some(Expr::StringConstant(text, _)) => Some(text.as_str()),
        _ => None,
    };
    let (at, keys) = api::options(module, &call.name, first)?;
    (at == position).then(|| keys.into_iter().map(str::to_owned).collect())
}

/// The keys of the defaults of `options::fill`, given in place or as a variable.
fn filled(body: &AST, defaults: &Expr) -> Option<Vec<String>> {
    let name = match defaults {
        Expr::Map(..) => return Some(keys_in(defaults)),
        Expr::Variable(variable, ..) => variable.1.clone(),
        _ => return None,
    };
    let mut found = None;
    body.walk(&mut |nodes| {
        if let Some(ASTNode::Stmt(Stmt::Var(var, ..))) = nodes.last()
            && var.0.name == name.as_str()
        {
            found = Some(keys_in(&var.1));
        }
        true
    });
    found
}

fn keys_in(map: &Expr) -> Vec<String> {
    match map {
        Expr::Map(map, _) => map.0.iter().map(|(key, _)| key.name.to_string()).collect(),
        _ => Vec::new(),
    }
}

/// The calls of functions in a script.
fn calls(body: &AST) -> Vec<FnCallExpr> {
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

/// How often an argument is `param`, or a sum with it.
fn times_in(argument: &Expr, param: &str) -> usize {
    match argument {
        Expr::Variable(variable, ..) => usize::from(variable.2.is_empty() && variable.1 == param),
        Expr::FnCall(call, _) if call.name == "+" => call.args.iter().map(|arg| times_in(arg, param)).sum(),
        _ => 0,
    }
}

/// How often a script names the variable `param`.
fn uses(body: &AST, param: &str) -> usize {
    let mut uses = 0;
    body.walk(&mut |nodes| {
        if let Some(ASTNode::Expr(Expr::Variable(variable, ..))) = nodes.last() {
            uses += usize::from(variable.1 == param);
        }
        true
    });
    uses
}
