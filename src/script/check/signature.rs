//! The parameters of functions, and calls with wrong arguments.

use super::calls::{ScriptCall, Style};
use super::finding::ScriptFinding;
use crate::script::api;
use crate::script::catalog::type_name;
use crate::script::diagnostic::ScriptError;
use crate::script::source::Function;
use rhai::Expr;
use std::collections::{BTreeMap, BTreeSet};

/// The parameters of a function.
#[derive(Clone, Debug)]
pub(super) struct ArgumentSignature {
    name: String,
    params: Vec<TypedParam>,
}

/// A parameter with its type, which only natives of lmrun have.
#[derive(Clone, Debug)]
struct TypedParam {
    name: String,
    kind: Option<String>,
}

/// Signatures by name.
pub(super) type SignatureTable = BTreeMap<String, Vec<ArgumentSignature>>;

impl ArgumentSignature {
    /// The form of a call: `array.push(item)` for a method.
    fn form(&self, style: Style) -> String {
        let params: Vec<&str> = self
            .params
            .iter()
            .map(|param| param.name.as_str())
            .collect();
        match (style, params.split_first()) {
            (Style::Method, Some((this, params))) => {
                format!("`{this}.{}({})`", self.name, params.join(", "))
            }
            _ => format!("`{}({})`", self.name, params.join(", ")),
        }
    }

    /// The signature with the alias of its module before the name.
    pub(super) fn qualified(&self, alias: &str) -> Self {
        Self {
            name: format!("{alias}::{}", self.name),
            ..self.clone()
        }
    }

    /// The first parameter whose argument is a literal of another type, with the argument.
    fn unfit<'a>(&'a self, args: &'a [Expr]) -> Option<(&'a TypedParam, &'a Expr)> {
        // The value before the dot is the first parameter.
        let params = &self.params[self.params.len() - args.len()..];
        let is_unfit =
            |(param, arg): &(&TypedParam, &Expr)| match (param.kind.as_deref(), kind_of(arg)) {
                (None | Some("any"), _) | (_, None) => false,
                (Some(wanted), Some(kind)) => wanted != kind,
            };
        params.iter().zip(args).find(is_unfit)
    }
}

/// The type of a literal.
fn kind_of(expr: &Expr) -> Option<&'static str> {
    Some(match expr {
        Expr::IntegerConstant(..) => "int",
        Expr::FloatConstant(..) => "float",
        Expr::StringConstant(..) | Expr::InterpolatedString(..) => "string",
        Expr::BoolConstant(..) => "bool",
        Expr::CharConstant(..) => "char",
        Expr::Unit(..) => "()",
        Expr::Array(..) => "array",
        Expr::Map(..) => "map",
        _ => return None,
    })
}

/// Returns the mistake if the arguments of a call match none of the signatures.
pub(super) fn wrong_arguments(
    call: &ScriptCall,
    signatures: &[ArgumentSignature],
) -> Option<ScriptFinding> {
    let given = call.expr.args.len();
    let arity = if call.style == Style::Method {
        given + 1
    } else {
        given
    };
    let fitting = signatures
        .iter()
        .filter(|signature| signature.params.len() == arity);
    let unfit: Vec<(&TypedParam, &Expr)> = fitting
        .map(|s| s.unfit(&call.expr.args))
        .collect::<Option<_>>()?;
    let name = &signatures.first()?.name;
    let finding = |position, fault: ScriptError| {
        let mut forms: Vec<String> = signatures.iter().map(|s| s.form(call.style)).collect();
        forms.sort();
        forms.dedup();
        ScriptFinding::mistake(
            position,
            fault.help(format!("it is called as {}", forms.join(" or "))),
        )
    };
    let Some((param, argument)) = unfit.iter().min_by_key(|(param, _)| &param.name) else {
        let arguments = if given == 1 { "argument" } else { "arguments" };
        let fault = ScriptError::new(format!(
            "`{name}` cannot be called with {given} {arguments}"
        ));
        return Some(finding(call.position, fault.at_word(&call.expr.name)));
    };
    let kinds: BTreeSet<&str> = unfit
        .iter()
        .filter_map(|(param, _)| param.kind.as_deref())
        .collect();
    let kinds = kinds.into_iter().collect::<Vec<_>>().join("` or `");
    let problem = format!(
        "`{name}` takes `{kinds}` as `{}`, not `{}`",
        param.name,
        kind_of(argument)?
    );
    Some(finding(argument.position(), ScriptError::new(problem)))
}

/// The signatures of the functions of a script.
pub(super) fn table<'a>(functions: impl IntoIterator<Item = &'a Function>) -> SignatureTable {
    let mut table = SignatureTable::new();
    for f in functions {
        let params = f
            .params
            .iter()
            .map(|name| TypedParam {
                name: name.clone(),
                kind: None,
            })
            .collect();
        table
            .entry(f.name.clone())
            .or_default()
            .push(ArgumentSignature {
                name: f.name.clone(),
                params,
            });
    }
    table
}

/// The signatures of the functions that need no import: those of Rhai and of lmrun.
pub(super) fn native_signatures() -> SignatureTable {
    let mut all = rhai::Engine::new();
    let rhais: BTreeSet<String> = signatures(&all).into_keys().collect();
    api::register(&mut all);
    let mut table = signatures(&all);
    // The types of Rhai's own functions are not checked: Rhai also accepts other types for some.
    let is_rhais = |name: &String| rhais.contains(name) && !api::GLOBALS.contains(&name.as_str());
    table
        .iter_mut()
        .filter(|(name, _)| is_rhais(name))
        .for_each(|(_, known)| forget_types(known));
    table
}

fn forget_types(signatures: &mut [ArgumentSignature]) {
    signatures
        .iter_mut()
        .flat_map(|signature| &mut signature.params)
        .for_each(|param| param.kind = None);
}

/// The signatures of a module of natives.
pub(super) fn of_module(path: &str) -> Option<SignatureTable> {
    let mut engine = rhai::Engine::new_raw();
    engine.register_global_module(api::native(path)?.into());
    Some(signatures(&engine))
}

fn signatures(engine: &rhai::Engine) -> SignatureTable {
    let one = |info: rhai::FuncInfo<'_>| {
        let f = info.metadata;
        let param =
            |info: Option<&rhai::Identifier>| match info.and_then(|info| info.split_once(':')) {
                Some((name, kind)) => TypedParam {
                    name: name.trim().into(),
                    kind: Some(type_name(kind)),
                },
                None => TypedParam {
                    name: info.map_or("value", |name| name).into(),
                    kind: None,
                },
            };
        let params = (0..f.num_params)
            .map(|i| param(f.params_info.get(i)))
            .collect();
        Some(ArgumentSignature {
            name: f.name.to_string(),
            params,
        })
    };
    let mut table = SignatureTable::new();
    for signature in engine.collect_fn_metadata(None, one, true) {
        table
            .entry(signature.name.clone())
            .or_default()
            .push(signature);
    }
    table
}
