//! The functions of the library's scripts.

use super::doc::Doc;
use super::item::{Home, Item, ItemKind, ItemParam, ItemSignature};
use super::option_keys::options_of;
use crate::script::api;
use crate::script::option_key::OptionKey;
use crate::script::source::{Function, ScriptSource, ScriptSources};

/// The documentation of a module.
pub(crate) struct ModuleDoc {
    /// Its import path.
    pub(crate) path: String,
    /// Its doc comment.
    pub(crate) doc: Doc,
    /// The options that its functions share, in groups with titles.
    pub(crate) shared_options: Vec<(&'static str, Vec<OptionKey>)>,
}

/// The modules of the library.
pub(crate) fn modules(sources: &ScriptSources) -> Vec<ModuleDoc> {
    sources
        .all()
        .map(|(path, source)| ModuleDoc {
            path: path.into(),
            doc: Doc::parse(&source.doc()),
            shared_options: api::shared_options(path),
        })
        .collect()
}

/// The public functions of the library, module by module, in their order.
pub(crate) fn items(sources: &ScriptSources) -> Vec<Item> {
    sources
        .all()
        .flat_map(|(path, source)| items_of(sources, path, source))
        .collect()
}

fn items_of(sources: &ScriptSources, path: &str, source: &ScriptSource) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for function in source.functions().iter().filter(|f| f.is_public) {
        let signature = signature(function);
        match items.iter_mut().find(|item| item.name == function.name) {
            Some(item) => item.signatures.push(signature),
            None => items.push(Item {
                home: Home::Module(path.into()),
                name: function.name.clone(),
                kind: ItemKind::Function,
                signatures: vec![signature],
                options: Vec::new(),
            }),
        }
    }
    for item in &mut items {
        let last = item.main().params.len().saturating_sub(1);
        item.options = options_of(sources, path, &item.name, last).unwrap_or_default();
    }
    items
}

fn signature(function: &Function) -> ItemSignature {
    let param = |name: &String| ItemParam {
        name: name.clone(),
        kind: None,
    };
    ItemSignature {
        params: function.params.iter().map(param).collect(),
        returns: None,
        doc: Doc::parse(&function.doc),
    }
}
