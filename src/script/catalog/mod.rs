//! All that a script can call: the global natives, the methods of the types, and the library's
//! functions, each with its parameters, its options and its doc comment, read from where they are
//! defined.

mod book;
mod definitions;
mod doc;
mod flow;
mod item;
mod keys;
mod library;
mod natives;
mod show;

pub use item::{Home, Item, Kind, Signature};
pub use keys::{Key, Use, generator, native as native_keys, taken};
pub use library::ModuleDoc;
pub use natives::type_name;
pub use show::Look;

use super::source::ScriptSources;
use super::suggest::nearest;
use std::path::Path;

/// All that scripts can call.
pub struct Catalog {
    /// The modules that scripts import, in the order of their names.
    pub modules: Vec<ModuleDoc>,
    /// What there is, by home: global first, then types, then modules, each in its order.
    pub items: Vec<Item>,
}

impl Catalog {
    /// Reads natives and library. Nothing is run.
    pub fn read() -> Self {
        let sources = ScriptSources::new(Path::new("."));
        let mut items = natives::items(&sources);
        items.extend(library::items(&sources));
        Self {
            modules: library::modules(&sources),
            items,
        }
    }

    /// What is called `name`: `run`, `load::dummy`, `dummy`, `Engine.close`, `close`; or all of a home: `load`,
    /// `std/load`, `Engine`.
    pub fn find(&self, name: &str) -> Vec<&Item> {
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

    /// The title most like `name`.
    pub fn nearest(&self, name: &str) -> Option<String> {
        let titles: Vec<String> = self.items.iter().map(Item::title).collect();
        let bare = self.items.iter().map(|item| item.name.as_str());
        let homes = self.items.iter().map(|item| item.home.alias());
        let candidates = titles.iter().map(String::as_str).chain(bare).chain(homes);
        let near = nearest(name, candidates)?;
        // A bare name is shown with its home.
        let full = self
            .items
            .iter()
            .find(|item| item.name == near && item.home.alias() != near);
        Some(full.map_or_else(|| near.to_owned(), Item::title))
    }
}

#[cfg(test)]
mod tests;
