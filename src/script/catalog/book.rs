//! The catalog as pages of the book.

use super::show::{further, import};
use super::{Catalog, Home, Item};
use std::fmt::Write;

const NOTE: &str = "<!-- Made from the doc comments by `lmrun api --book`; `tests/api.rs` says when it is stale. -->";

impl Catalog {
    /// The pages: file names and texts.
    pub fn pages(&self) -> Vec<(String, String)> {
        let mut pages = vec![("overview.md".to_owned(), self.overview())];
        pages.push((
            "global.md".into(),
            self.page("Without an import", "", &|home| *home == Home::Global),
        ));
        let about = "What natives return, and what can be done with it.\n\n";
        pages.push((
            "types.md".into(),
            self.page("Types", about, &|home| matches!(home, Home::Type(_))),
        ));
        for module in &self.modules {
            let home = Home::Module(module.path.clone());
            let about = format!(
                "```rhai,part\n{}\n```\n\n{}\n\n",
                import(&module.path, home.alias()),
                module.doc.text
            );
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
            "# Functions\n\n{NOTE}\n\nAll that a script can call, beside what [Rhai itself](https://rhai.rs/book/) has. \
             `lmrun api` prints the same, `lmrun api load::dummy` one of them.\n"
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
    for (i, signature) in item.signatures.iter().enumerate() {
        let lead = if i == 0 {
            String::new()
        } else {
            format!("`{}`: ", item.usage(signature))
        };
        let _ = write!(text, "\n{lead}{}\n", spaced(&signature.doc.text));
        if let Some(example) = &signature.doc.example {
            let _ = write!(text, "\n```rhai,part\n{example}\n```\n");
        }
    }
    if let Some(further) = further(item) {
        let _ = write!(text, "\n{further}\n");
    }
    text
}

/// A blank line before a list, which Markdown wants.
fn spaced(text: &str) -> String {
    text.replace("ptions:\n- ", "ptions:\n\n- ")
}
