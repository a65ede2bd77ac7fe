//! The options of a function, found without running a script.
//!
//! The options of a library function are declared in its call of `options::fill`, which names the
//! function and has the declarations as a literal map; or in the Rust structs of a native; or, with
//! "Options: those of …" in its doc comment, by other functions.

use super::doc::Doc;
use crate::script::api;
use crate::script::common_options::common_option;
use crate::script::option_key::{OptionKey, OptionType, ValueType};
use crate::script::source::{Function, ScriptSource, ScriptSources};
use rhai::{ASTNode, Dynamic, Expr, FnCallExpr, Ident, Stmt};

/// Returns the options of the parameter at `position` of a function of the script or module `path`;
/// `None` if the parameter takes no options. Natives without an import are in `core/run`.
pub(crate) fn options_of(
    sources: &ScriptSources,
    path: &str,
    name: &str,
    position: usize,
) -> Option<Vec<OptionKey>> {
    if let Some(options) = api::options(path, name, position) {
        return Some(options);
    }
    let source = sources.get(path)?;
    let mut functions = source.functions().iter().filter(|f| f.name == name);
    let function = functions.find(|f| f.params.len() == position + 1)?;
    declared(sources, source, path, name).or_else(|| borrowed(sources, path, function))
}

/// The options that a call of `options::fill` in the script declares for the function `name`.
fn declared(
    sources: &ScriptSources,
    source: &ScriptSource,
    path: &str,
    name: &str,
) -> Option<Vec<OptionKey>> {
    let module = path.rsplit('/').next().unwrap_or(path);
    let title = format!("{module}::{name}");
    let mut entries: Option<Vec<(Ident, Expr)>> = None;
    source.ast.walk(&mut |nodes| {
        if let Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) =
            nodes.last()
            && call.name == "fill"
            && source.is_import(call, "core/options")
            && let [Expr::StringConstant(function, _), _, Expr::Map(map, _)] = &call.args[..]
            && (*function == title || function == name)
        {
            entries = Some(map.0.to_vec());
        }
        entries.is_none()
    });
    let entries = entries?;
    let option = |(key, value): &(Ident, Expr)| declared_option(sources, &key.name, value);
    Some(entries.iter().map(option).collect())
}

/// The options of the functions that a doc comment refers to with "Options: those of …".
fn borrowed(sources: &ScriptSources, path: &str, function: &Function) -> Option<Vec<OptionKey>> {
    let doc = Doc::parse(&function.doc);
    let mut all: Vec<OptionKey> = Vec::new();
    for title in doc.borrows() {
        let options = match title.split_once("::") {
            Some((module, name)) => options_of(sources, &format!("std/{module}"), name, 0),
            None => options_of(sources, path, title, 0),
        };
        for option in options.into_iter().flatten() {
            match all.iter_mut().find(|known| known.name == option.name) {
                Some(known) => known.types.extend(option.types),
                None => all.push(option),
            }
        }
    }
    (!all.is_empty()).then_some(all)
}

/// The option that an entry of a literal map declares: a default, or a map with `doc`.
fn declared_option(sources: &ScriptSources, name: &str, entry: &Expr) -> OptionKey {
    if field(entry, "doc").is_none() {
        let common = common_option(name);
        let doc = common
            .as_ref()
            .map(|common| common.doc.clone())
            .unwrap_or_default();
        let mut types = of_default(literal(entry));
        types.extend(common.into_iter().flat_map(|common| common.types));
        return OptionKey {
            name: name.into(),
            default: default_text(entry),
            doc,
            types,
            is_shared: false,
        };
    }
    let text = |key: &str| literal(field(entry, key)?)?.into_string().ok();
    let default = field(entry, "value");
    let types = match (text("options"), text("type")) {
        (Some(title), _) => title
            .split_once("::")
            .and_then(|(module, name)| options_of(sources, &format!("std/{module}"), name, 0))
            .map(OptionType::Options)
            .into_iter()
            .collect(),
        (None, Some(name)) => ValueType::from_name(&name)
            .map(OptionType::Value)
            .into_iter()
            .collect(),
        (None, None) => of_default(default.and_then(literal)),
    };
    let doc = text("doc").unwrap_or_default();
    OptionKey {
        name: name.into(),
        default: default.and_then(default_text),
        // A text over several lines may have more than one space where they meet.
        doc: doc.split_whitespace().collect::<Vec<_>>().join(" "),
        types,
        is_shared: false,
    }
}

/// The type of a default; `()` has none.
fn of_default(default: Option<Dynamic>) -> Vec<OptionType> {
    let value_type = default.and_then(|default| ValueType::of_default(&default));
    value_type.map(OptionType::Value).into_iter().collect()
}

/// The value of a key in a literal map.
fn field<'e>(entry: &'e Expr, key: &str) -> Option<&'e Expr> {
    let Expr::Map(map, _) = entry else {
        return None;
    };
    let (_, value) = map.0.iter().find(|(name, _)| name.name == key)?;
    Some(value)
}

/// The value of a literal, or of the default in `param("name", default)`.
fn literal(expr: &Expr) -> Option<Dynamic> {
    match parameter(expr) {
        Some((_, default)) => default.get_literal_value(None),
        None => expr.get_literal_value(None),
    }
}

/// The name and the default in `param("name", default)`.
fn parameter(expr: &Expr) -> Option<(&str, &Expr)> {
    let Expr::FnCall(call, _) = expr else {
        return None;
    };
    match &call.args[..] {
        [Expr::StringConstant(name, _), default] if call.name == "param" => Some((name, default)),
        _ => None,
    }
}

/// A default as the documentation shows it; `None` if it is empty.
fn default_text(default: &Expr) -> Option<String> {
    let value = literal(default).filter(|value| {
        let is_empty_map = value.as_map_ref().is_ok_and(|map| map.is_empty());
        let is_empty_array = value.as_array_ref().is_ok_and(|array| array.is_empty());
        !value.is_unit() && !is_empty_map && !is_empty_array
    });
    let flag = parameter(default).map(|(name, _)| match name {
        "model" => "`-m`".to_owned(),
        name => format!("`-P {name}=…`"),
    });
    match (flag, value) {
        (Some(flag), Some(value)) => Some(format!("{flag}, else {value:?}")),
        (Some(flag), None) => Some(flag),
        (None, value) => value.map(|value| format!("{value:?}")),
    }
}

impl ScriptSource {
    /// Returns true if `call` is qualified with the alias of the module `path`.
    fn is_import(&self, call: &FnCallExpr, path: &str) -> bool {
        let import = self.imports.get(call.namespace.root());
        !call.namespace.is_empty() && import.is_some_and(|import| import.path == path)
    }
}
