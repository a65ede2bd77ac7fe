//! The catalog as pages of the book.

use super::show::{further, import};
use super::{Catalog, Home, Item};
use crate::script::option_key::OptionKey;
use std::fmt::Write;

const NOTE: &str = "<!-- Generated from doc comments by `lmrun api --book`; `tests/api.rs` fails if it is stale. -->";

impl Catalog {
    /// The pages: file names and texts.
    pub(crate) fn pages(&self) -> Vec<(String, String)> {
        let mut pages = vec![("overview.md".to_owned(), self.overview())];
        pages.push((
            "global.md".into(),
            self.page("Without an import", "", &|home| *home == Home::Global),
        ));
        let about = "The types of values, with their properties and methods.\n\n";
        pages.push((
            "types.md".into(),
            self.page("Types", about, &|home| matches!(home, Home::Type(_))),
        ));
        for module in &self.modules {
            let home = Home::Module(module.path.clone());
            let mut about = format!(
                "```rhai,part\n{}\n```\n\n{}\n\n",
                import(&module.path, home.alias()),
                module.doc.text
            );
            for (title, options) in &module.shared_options {
                let _ = write!(
                    about,
                    "**{title}**\n\n{}\n",
                    anchored(title, &table(options))
                );
            }
            pages.push((
                page_of(&home),
                self.page(&format!("`{}`", module.path), &about, &|other| {
                    *other == home
                }),
            ));
        }
        pages
    }

    fn page(&self, title: &str, about: &str, is_on: &dyn Fn(&Home) -> bool) -> String {
        let items = self.items.iter().filter(|item| is_on(&item.home));
        let sections: Vec<String> = items.map(section).collect();
        format!("# {title}\n\n{NOTE}\n\n{about}{}", sections.join("\n"))
    }

    fn overview(&self) -> String {
        let mut text = format!(
            "# Functions\n\n{NOTE}\n\nAll functions for scripts, besides \
             [those of Rhai](https://rhai.rs/book/). `lmrun api` prints this list, and \
             `lmrun api load::dummy` one function.\n"
        );
        let mut last = None;
        for item in &self.items {
            if last.replace(&item.home) != Some(&item.home) {
                let page = page_of(&item.home);
                let _ = write!(
                    text,
                    "\n## {}\n\n| | |\n|---|---|\n",
                    linked(&item.home, &page)
                );
            }
            let usage = item.usage(item.main()).replace('|', "\\|");
            let _ = writeln!(
                text,
                "| `{usage}` | {} |",
                item.summary().replace('|', "\\|")
            );
        }
        text
    }
}

fn linked(home: &Home, page: &str) -> String {
    match home {
        Home::Global => format!("[Without an import]({page})"),
        _ => format!("[`{home}`]({page})"),
    }
}

fn page_of(home: &Home) -> String {
    match home {
        Home::Global => "global.md".into(),
        Home::Type(_) => "types.md".into(),
        Home::Module(_) => format!("{}.md", home.alias()),
    }
}

fn section(item: &Item) -> String {
    let mut text = format!("## `{}`\n\n```text\n", item.title());
    for signature in &item.signatures {
        let _ = writeln!(text, "{}", item.declaration(signature));
    }
    text += "```\n";
    for (i, signature) in item.explained().enumerate() {
        let lead = if i == 0 {
            String::new()
        } else {
            format!("`{}`: ", item.usage(signature))
        };
        let _ = write!(text, "\n{lead}{}\n", signature.doc.text);
        if let Some(example) = &signature.doc.example {
            let _ = write!(text, "\n```rhai,part\n{example}\n```\n");
        }
    }
    let own = item.own_options();
    if !own.is_empty() {
        let _ = write!(text, "\n{}", anchored(&item.name, &table(own)));
    }
    if let Some(further) = further(item) {
        let _ = write!(text, "\n{further}\n");
    }
    text
}

/// The text between anchors, so that the guide can include it. `title` is the name of the anchor,
/// with `_` for each character that is not a letter.
fn anchored(title: &str, text: &str) -> String {
    let name = title
        .to_lowercase()
        .replace(|c: char| !c.is_alphanumeric(), "_");
    let name = name.trim_matches('_');
    format!("<!-- ANCHOR: {name} -->\n{text}<!-- ANCHOR_END: {name} -->\n")
}

/// Options as a table, a row per option.
fn table<'a>(options: impl IntoIterator<Item = &'a OptionKey>) -> String {
    let mut text = "| option | default | description |\n|---|---|---|\n".to_owned();
    for option in options {
        let default = option.default.as_deref().unwrap_or_default();
        let doc = option.doc.replace('|', "\\|");
        let _ = writeln!(text, "| `{}` | {} | {doc} |", option.name, code(default));
    }
    text
}

/// A default in backticks, unless it is empty or has some.
fn code(default: &str) -> String {
    if default.is_empty() || default.contains('`') {
        default.to_owned()
    } else {
        format!("`{default}`")
    }
}
