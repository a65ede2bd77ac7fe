//! All functions, methods and properties of scripts, with parameters, options and documentation, read
//! from their definitions.

mod book;
mod definitions;
mod doc;
mod item;
mod library;
mod natives;
mod option_keys;
mod show;

pub(crate) use item::{Home, Item, ItemKind, ItemSignature};
pub(crate) use library::ModuleDoc;
pub(crate) use natives::type_name;
pub(crate) use option_keys::options_of;
pub(crate) use show::Look;

use super::source::ScriptSources;
use super::suggest::nearest;
use std::path::Path;

/// All functions, methods and properties of scripts.
pub(crate) struct Catalog {
    /// The modules, sorted by name.
    pub(crate) modules: Vec<ModuleDoc>,
    /// The items: first global ones, then those of types, then those of modules.
    pub(crate) items: Vec<Item>,
}

impl Catalog {
    /// Reads the natives and the library. Runs no script.
    pub(crate) fn read() -> Self {
        let sources = ScriptSources::new(Path::new("."));
        let mut items = natives::items(&sources);
        items.extend(library::items(&sources));
        Self {
            modules: library::modules(&sources),
            items,
        }
    }

    /// The items with this name (`run`, `load::dummy`, `dummy`, `Engine.close`), or all items of a module
    /// or a type (`load`, `std/load`, `Engine`).
    pub(crate) fn find(&self, name: &str) -> Vec<&Item> {
        let name = name.trim_end_matches("()");
        let found: Vec<&Item> = self
            .items
            .iter()
            .filter(|item| item.title() == name)
            .collect();
        if !found.is_empty() {
            return found;
        }
        let is_home = |item: &&Item| item.home.alias() == name || item.home.to_string() == name;
        let of_home: Vec<&Item> = self.items.iter().filter(is_home).collect();
        if !of_home.is_empty() {
            return of_home;
        }
        self.items.iter().filter(|item| item.name == name).collect()
    }

    /// The title that is most similar to `name`.
    pub(crate) fn nearest(&self, name: &str) -> Option<String> {
        let titles: Vec<String> = self.items.iter().map(Item::title).collect();
        let bare = self.items.iter().map(|item| item.name.as_str());
        let homes = self.items.iter().map(|item| item.home.alias());
        let candidates = titles.iter().map(String::as_str).chain(bare).chain(homes);
        let near = nearest(name, candidates)?;
        // A name without a module is shown with its module.
        let full = self
            .items
            .iter()
            .find(|item| item.name == near && item.home.alias() != near);
        Some(full.map_or_else(|| near.to_owned(), Item::title))
    }
}

#[cfg(test)]
mod tests;
