//! The functions of the library's scripts.

use super::doc::Doc;
use super::item::{Home, Item, Kind, OptionKey, Param, Signature};
use super::keys::{explained, taken};
use crate::script::source::{Function, ScriptSource, ScriptSources};

/// What a module says of itself.
#[derive(Clone, Debug)]
pub struct ModuleDoc {
    /// Its import path.
    pub path: String,
    /// Its doc comment.
    pub doc: Doc,
}

/// The modules of the library.
pub fn modules(sources: &ScriptSources) -> Vec<ModuleDoc> {
    sources
        .all()
        .map(|(path, source)| ModuleDoc {
            path: path.into(),
            doc: Doc::parse(&source.doc()),
        })
        .collect()
}

/// The public functions of the library, module by module, in their order.
pub fn items(sources: &ScriptSources) -> Vec<Item> {
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
                kind: Kind::Function,
                signatures: vec![signature],
                options: Vec::new(),
            }),
        }
    }
    for item in &mut items {
        item.options = options(sources, path, item);
    }
    items
}

fn signature(function: &Function) -> Signature {
    let param = |name: &String| Param {
        name: name.clone(),
        kind: None,
    };
    Signature {
        params: function.params.iter().map(param).collect(),
        returns: None,
        doc: Doc::parse(&function.doc),
    }
}

/// The keys are those that are checked.
fn options(sources: &ScriptSources, path: &str, item: &Item) -> Vec<OptionKey> {
    // What comes before the last map are no options: the requests of `load::custom`.
    let last = |s: &Signature| taken(sources, path, &item.name, s.params.len()).pop();
    let keys = item
        .signatures
        .iter()
        .find_map(last)
        .map(|taken| taken.keys)
        .unwrap_or_default();
    let names: Vec<String> = keys.into_iter().map(|key| key.name).collect();
    explained(&names, &docs(sources, path, &item.main().doc))
}

/// What options are for is said by the function, by those whose options it takes, or by its module.
pub fn docs(sources: &ScriptSources, path: &str, doc: &Doc) -> Vec<OptionKey> {
    let mut docs = doc.options.clone();
    for other in doc.borrows() {
        let (path, name) = match other.split_once("::") {
            Some((module, name)) => (format!("std/{module}"), name),
            None => (path.to_owned(), other),
        };
        let functions = sources
            .get(&path)
            .map(ScriptSource::functions)
            .unwrap_or_default();
        let other = functions
            .iter()
            .find(|f| f.name == name)
            .map(|f| Doc::parse(&f.doc));
        docs.extend(
            other
                .map(|other| self::docs(sources, &path, &other))
                .unwrap_or_default(),
        );
    }
    docs.extend(
        sources
            .get(path)
            .map(|source| Doc::parse(&source.doc()).options)
            .unwrap_or_default(),
    );
    docs
}
