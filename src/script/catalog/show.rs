//! The catalog as text for a terminal.

use super::library::ModuleDoc;
use super::{Catalog, Home, Item};
use crate::script::option_key::OptionKey;
use console::{Style, truncate_str};
use std::fmt::Write;

/// The properties of the terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// True if it supports colors.
    pub(crate) color: bool,
    /// The maximum width of a line in a list, in columns.
    pub(crate) width: usize,
}

impl Look {
    fn style(self) -> Style {
        Style::new().force_styling(self.color)
    }

    fn title(self, text: &str) -> String {
        self.style().bold().apply_to(text).to_string()
    }

    /// Colors the text in backticks.
    fn prose(self, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let paint = |(i, part): (usize, &str)| match i % 2 {
            0 => part.to_owned(),
            _ => self.style().cyan().apply_to(part).to_string(),
        };
        text.split('`').enumerate().map(paint).collect()
    }
}

impl Catalog {
    /// All items, a line per item.
    pub(crate) fn list(&self, look: Look) -> String {
        let mut homes: Vec<&Home> = self.items.iter().map(|item| &item.home).collect();
        homes.dedup();
        let mut text = String::new();
        for home in homes {
            let _ = writeln!(text, "{}", look.title(&self.heading(home)));
            text += &lines(self.items.iter().filter(|item| item.home == *home), look);
            text.push('\n');
        }
        text.push_str("`lmrun api NAME` shows a function in full, `lmrun api load` a module.\n");
        text
    }

    /// The full documentation of `name`; `None` if it is unknown.
    pub(crate) fn show(&self, name: &str, look: Look) -> Option<String> {
        let found = self.find(name);
        let (first, others) = found.split_first()?;
        if others.is_empty() {
            return Some(full(first, look));
        }
        let is_one_home = others.iter().all(|item| item.home == first.home);
        let heading = if is_one_home {
            self.about(&first.home, look)
        } else {
            String::new()
        };
        Some(format!("{heading}{}", lines(found.into_iter(), look)))
    }

    fn heading(&self, home: &Home) -> String {
        match home {
            Home::Global => "global: available without an import".into(),
            Home::Type(name) => format!("{name}: properties and methods"),
            Home::Module(path) => {
                let summary = self.module(path).map_or("", |module| &module.doc.summary);
                format!("{path}: {summary}")
            }
        }
    }

    fn module(&self, path: &str) -> Option<&ModuleDoc> {
        self.modules.iter().find(|module| module.path == path)
    }

    /// The documentation of a module with the options that its functions share.
    fn module_text(&self, path: &str) -> String {
        let Some(module) = self.module(path) else {
            return String::new();
        };
        let mut text = module.doc.text.clone();
        for (title, options) in &module.shared_options {
            let _ = write!(text, "\n\n{title}:\n{}", list(options));
        }
        text
    }

    fn about(&self, home: &Home, look: Look) -> String {
        match home {
            Home::Module(path) => format!(
                "{}\n\n    {}\n\n{}\n\n",
                look.title(path),
                import(path, home.alias()),
                look.prose(&self.module_text(path))
            ),
            _ => format!("{}\n\n", look.title(&self.heading(home))),
        }
    }
}

/// The import of a module.
pub(crate) fn import(path: &str, alias: &str) -> String {
    format!("import \"{path}\" as {alias};")
}

fn lines<'a>(items: impl Iterator<Item = &'a Item> + Clone, look: Look) -> String {
    let usage = |item: &Item| item.usage(item.main());
    let column = items
        .clone()
        .map(|item| usage(item).chars().count())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for item in items {
        let line = format!("  {:column$}  {}", usage(item), item.summary());
        let _ = writeln!(
            text,
            "{}",
            look.prose(&truncate_str(&line, look.width, "…"))
        );
    }
    text
}

fn full(item: &Item, look: Look) -> String {
    let mut text = String::new();
    for signature in &item.signatures {
        let _ = writeln!(text, "{}", look.title(&item.declaration(signature)));
    }
    if let Home::Module(path) = &item.home {
        let _ = write!(text, "\n    {}\n", import(path, item.home.alias()));
    }
    for (i, signature) in item.explained().enumerate() {
        let lead = if i == 0 {
            String::new()
        } else {
            format!("`{}`: ", item.usage(signature))
        };
        let _ = write!(
            text,
            "\n{}\n",
            look.prose(&format!("{lead}{}", signature.doc.text))
        );
        if let Some(example) = &signature.doc.example {
            let _ = write!(text, "\n{}\n", indented(example));
        }
    }
    let own = item.own_options();
    if !own.is_empty() {
        let _ = write!(text, "\nOptions:\n{}\n", look.prose(&list(own)));
    }
    if let Some(further) = further(item) {
        let _ = write!(text, "\n{}\n", look.prose(&textwrap::fill(&further, 100)));
    }
    text
}

/// Options as a list, an item per option.
pub(crate) fn list<'a>(options: impl IntoIterator<Item = &'a OptionKey>) -> String {
    let mut lines = Vec::new();
    for option in options {
        let item = format!("- `{}`: {}", option.name, option.doc_with_default());
        lines.push(textwrap::fill(
            &item,
            textwrap::Options::new(100).subsequent_indent("  "),
        ));
    }
    lines.join("\n")
}

/// The sentence that names the options that the module of a function explains.
pub(crate) fn further(item: &Item) -> Option<String> {
    let shared = item.shared_options();
    let names: Vec<String> = shared
        .iter()
        .map(|option| format!("`{}`", option.name))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "More options, explained at `{}`: {}.",
            item.home,
            names.join(", ")
        )
    })
}

fn indented(example: &str) -> String {
    example
        .lines()
        .map(|line| format!("    {line}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}
