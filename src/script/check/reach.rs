//! Which names a script mentions, and which of its functions are reached from where it is run.

use crate::script::source::{Function, ScriptSource};
use rhai::{AST, ASTNode, Expr, FnPtr, Stmt};
use std::collections::BTreeSet;

/// Names that code mentions in whatever way: as a function, a variable, a text that may name one.
#[derive(Default)]
pub struct Names {
    /// Each of them.
    pub all: BTreeSet<String>,
    /// What stands before `::`.
    pub modules: BTreeSet<String>,
}

impl Names {
    /// Those in `code`.
    pub fn of(code: &AST) -> Self {
        let mut names = Self::default();
        code.walk(&mut |nodes| {
            match nodes.last() {
                Some(ASTNode::Expr(expr)) => names.note(expr),
                Some(ASTNode::Stmt(Stmt::FnCall(call, _))) => names.call(call),
                _ => {}
            }
            true
        });
        names
    }

    fn note(&mut self, expr: &Expr) {
        let name = match expr {
            Expr::FnCall(call, _) | Expr::MethodCall(call, _) => return self.call(call),
            Expr::Variable(variable, ..) => {
                self.modules
                    .extend((!variable.2.is_empty()).then(|| variable.2.root().to_owned()));
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

    fn call(&mut self, call: &rhai::FnCallExpr) {
        self.modules
            .extend((!call.namespace.is_empty()).then(|| call.namespace.root().to_owned()));
        self.all.insert(call.name.to_string());
    }
}

/// The names that are reached from the `roots` among the functions of a script, from its statements and
/// closures, and from what else is `known` to be mentioned.
pub fn reached(
    source: &ScriptSource,
    functions: &[Function],
    roots: impl Fn(&Function) -> bool,
    known: BTreeSet<String>,
) -> BTreeSet<String> {
    let mut reached = known;
    reached.extend(Names::of(&source.outside()).all);
    reached.extend(
        functions
            .iter()
            .filter(|f| roots(f))
            .map(|f| f.name.clone()),
    );
    let mut left: Vec<&Function> = functions.iter().collect();
    loop {
        let (entered, others): (Vec<&Function>, _) =
            left.iter().partition(|f| reached.contains(&f.name));
        if entered.is_empty() {
            return reached;
        }
        left = others;
        reached.extend(
            entered
                .iter()
                .flat_map(|f| Names::of(&source.body(&f.name, f.params.len())).all),
        );
    }
}
