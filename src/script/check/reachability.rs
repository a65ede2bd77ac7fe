//! The names that a script mentions, and the functions that its tests may call.

use crate::script::source::{Function, ScriptSource};
use rhai::{AST, ASTNode, Expr, FnCallExpr, FnPtr, Stmt};
use std::collections::BTreeSet;

/// Names that code mentions as a function, a variable, a property or a string, which may be the
/// name of a function.
#[derive(Default)]
pub(super) struct MentionedNames {
    /// All names.
    pub(super) all: BTreeSet<String>,
    /// The names before `::`.
    pub(super) modules: BTreeSet<String>,
}

impl MentionedNames {
    /// The names in `code`.
    pub(super) fn in_code(code: &AST) -> Self {
        let mut names = Self::default();
        code.walk(&mut |nodes| {
            match nodes.last() {
                Some(ASTNode::Expr(expr)) => names.add(expr),
                Some(ASTNode::Stmt(Stmt::FnCall(call, _))) => names.add_call(call),
                _ => {}
            }
            true
        });
        names
    }

    fn add(&mut self, expr: &Expr) {
        let name = match expr {
            Expr::FnCall(call, _) | Expr::MethodCall(call, _) => return self.add_call(call),
            Expr::Variable(variable, ..) => {
                if !variable.2.is_empty() {
                    self.modules.insert(variable.2.root().to_owned());
                }
                variable.1.to_string()
            }
            Expr::StringConstant(text, _) => text.to_string(),
            Expr::Property(property, _) => property.2.to_string(),
            Expr::DynamicConstant(value, _) => match value.read_lock::<FnPtr>() {
                Some(pointer) => pointer.fn_name().to_owned(),
                None => return,
            },
            _ => return,
        };
        self.all.insert(name);
    }

    fn add_call(&mut self, call: &FnCallExpr) {
        if !call.namespace.is_empty() {
            self.modules.insert(call.namespace.root().to_owned());
        }
        self.all.insert(call.name.to_string());
    }
}

/// Returns the names that are reachable from the names `known`, from the functions that are
/// `roots`, and from the code outside of functions.
pub(super) fn reachable(
    source: &ScriptSource,
    roots: fn(&Function) -> bool,
    known: BTreeSet<String>,
) -> BTreeSet<String> {
    let mut reached = known;
    reached.extend(MentionedNames::in_code(&source.outside()).all);
    let functions = source.functions();
    reached.extend(
        functions
            .iter()
            .filter(|f| roots(f))
            .map(|f| f.name.clone()),
    );
    let mut left: Vec<&Function> = functions.iter().collect();
    loop {
        let (entered, others): (Vec<&Function>, Vec<&Function>) =
            left.into_iter().partition(|f| reached.contains(&f.name));
        if entered.is_empty() {
            return reached;
        }
        left = others;
        for f in entered {
            reached.extend(MentionedNames::in_code(&source.body(&f.name, f.params.len())).all);
        }
    }
}
