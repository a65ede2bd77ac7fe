//! The natives without an import and the members of types, from their registration in Rhai.

use super::doc::Doc;
use super::item::{Home, Item, ItemKind, ItemParam, ItemSignature};
use super::option_keys::options_of;
use crate::script::api;
use crate::script::outline::doc;
use crate::script::source::ScriptSources;
use rhai::FuncMetadata;

/// The natives without an import, and the members of types.
pub(crate) fn items(sources: &ScriptSources) -> Vec<Item> {
    let mut engine = rhai::Engine::new_raw();
    api::register(&mut engine);
    let is_said =
        |f: &FuncMetadata| !["to_string", "to_debug", "/", "/="].contains(&f.name.as_str());
    let found = engine.collect_fn_metadata(
        None,
        |info| is_said(info.metadata).then(|| item(info.metadata)),
        true,
    );
    let mut items: Vec<Item> = Vec::new();
    for one in found {
        match items
            .iter_mut()
            .find(|item| (&item.home, item.kind, &item.name) == (&one.home, one.kind, &one.name))
        {
            Some(item) => item.signatures.extend(one.signatures),
            None => items.push(one),
        }
    }
    for item in &mut items {
        finish(sources, item);
    }
    items.sort_by_cached_key(|item| {
        (
            item.home.clone(),
            rank(&item.name),
            item.kind,
            item.name.clone(),
        )
    });
    items
}

/// The place of a native in `GLOBALS`, which is their order.
fn rank(name: &str) -> usize {
    api::GLOBALS
        .iter()
        .position(|global| *global == name)
        .unwrap_or(usize::MAX)
}

fn item(f: &FuncMetadata) -> Item {
    let (kind, name) = match f.name.strip_prefix("get$") {
        Some(name) => (ItemKind::Property, name),
        None if f.name.starts_with("index$") => (ItemKind::Index, "[]"),
        None => (ItemKind::Method, f.name.as_str()),
    };
    let mut params: Vec<ItemParam> = f.params_info.iter().map(|info| param(info)).collect();
    let is_method = f
        .params_info
        .first()
        .is_some_and(|info| info.contains("&mut"));
    let (home, kind) = match is_method.then(|| params.remove(0)) {
        Some(this) => (Home::Type(this.kind.unwrap_or_default()), kind),
        None => (Home::Global, ItemKind::Function),
    };
    let comments: Vec<&str> = f.comments.iter().map(AsRef::as_ref).collect();
    let signature = ItemSignature {
        params,
        returns: Some(type_name(&f.return_type)),
        doc: Doc::parse(&doc(&comments)),
    };
    Item {
        home,
        name: name.into(),
        kind,
        signatures: vec![signature],
        options: Vec::new(),
    }
}

fn param(info: &str) -> ItemParam {
    let (name, kind) = info.split_once(':').unwrap_or((info, "Dynamic"));
    ItemParam {
        name: name.trim().into(),
        kind: Some(type_name(kind)),
    }
}

/// The name of a Rust type in scripts.
pub(crate) fn type_name(rust: &str) -> String {
    let bare = rust
        .trim()
        .trim_start_matches('&')
        .trim_start_matches("mut ")
        .trim();
    let bare = bare
        .strip_prefix("Result<")
        .map_or(bare, |rest| rest.split(',').next().unwrap_or(rest))
        .trim();
    match bare.rsplit("::").next().unwrap_or(bare) {
        "str" | "String" => "string",
        "i64" | "INT" => "int",
        "f64" | "FLOAT" => "float",
        "Array" => "array",
        "Map" => "map",
        "Dynamic" => "any",
        "" => "()",
        "Spec" => "EngineSpec",
        "Handle" => "Engine",
        "Kept" => "Helper",
        "Experiment" => "ExperimentResult",
        other => other,
    }
    .to_owned()
}

/// The explained signature first, those that differ in a type only as one, and the options.
fn finish(sources: &ScriptSources, item: &mut Item) {
    let same = |a: &ItemSignature, b: &ItemSignature| {
        let names = |s: &ItemSignature| {
            s.params
                .iter()
                .map(|param| param.name.clone())
                .collect::<Vec<_>>()
        };
        names(a) == names(b) && a.doc.summary == b.doc.summary
    };
    let mut merged: Vec<ItemSignature> = Vec::new();
    item.signatures.sort_by_cached_key(|s| {
        (
            s.doc.example.is_none(),
            s.params.len(),
            format!("{:?}", s.params),
        )
    });
    for signature in std::mem::take(&mut item.signatures) {
        match merged.iter_mut().find(|known| same(known, &signature)) {
            Some(known) => join_types(known, &signature),
            None => merged.push(signature),
        }
    }
    item.signatures = merged;
    if item.home == Home::Global {
        let options = (0..3).find_map(|at| options_of(sources, "core/run", &item.name, at));
        item.options = options.unwrap_or_default();
    }
}

fn join_types(known: &mut ItemSignature, other: &ItemSignature) {
    for (param, other) in known.params.iter_mut().zip(&other.params) {
        if param.kind != other.kind {
            param.kind = Some(format!(
                "{} | {}",
                param.kind.as_deref().unwrap_or("any"),
                other.kind.as_deref().unwrap_or("any")
            ));
        }
    }
}
