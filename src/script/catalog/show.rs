//! The catalog on a terminal.

use super::doc::Doc;
use super::{Catalog, Home, Item};
use console::{Style, truncate_str};
use std::fmt::Write;

/// How a terminal wants it.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether it shows colours.
    pub color: bool,
    /// Lists are cut to so many columns.
    pub width: usize,
}

impl Look {
    fn style(self) -> Style {
        Style::new().force_styling(self.color)
    }

    fn title(self, text: &str) -> String {
        self.style().bold().apply_to(text).to_string()
    }

    /// Colours what stands in backticks.
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
    /// All there is, a line each, by home.
    pub fn list(&self, look: Look) -> String {
        let mut homes: Vec<&Home> = self.items.iter().map(|item| &item.home).collect();
        homes.dedup();
        let mut text = String::new();
        for home in homes {
            let _ = writeln!(text, "{}", look.title(&self.heading(home)));
            text += &lines(self.items.iter().filter(|item| item.home == *home), look);
            text.push('\n');
        }
        text.push_str("`lmrun api NAME` shows one in full, `lmrun api load` a module.\n");
        text
    }

    /// What is called `name`, in full; `None` if nothing is.
    pub fn show(&self, name: &str, look: Look) -> Option<String> {
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
            Home::Global => "global: there without an import".into(),
            Home::Type(name) => format!("{name}: of its values"),
            Home::Module(path) => format!("{path}: {}", self.doc(path).summary),
        }
    }

    fn doc(&self, path: &str) -> Doc {
        self.modules
            .iter()
            .find(|module| module.path == path)
            .map(|module| module.doc.clone())
            .unwrap_or_default()
    }

    fn about(&self, home: &Home, look: Look) -> String {
        match home {
            Home::Module(path) => format!(
                "{}\n\n    {}\n\n{}\n\n",
                look.title(path),
                import(path, home.alias()),
                look.prose(&self.doc(path).text)
            ),
            _ => format!("{}\n\n", look.title(&self.heading(home))),
        }
    }
}

/// The statement that makes a module known.
pub fn import(path: &str, alias: &str) -> String {
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
    for (i, signature) in item.signatures.iter().enumerate() {
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
    if let Some(further) = further(item) {
        let _ = write!(text, "\n{}\n", look.prose(&textwrap::fill(&further, 100)));
    }
    text
}

/// The options that its module explains, where there are such.
pub fn further(item: &Item) -> Option<String> {
    let explained = item.signatures.iter().flat_map(|s| &s.doc.options);
    let own: Vec<&str> = explained.map(|option| option.name.as_str()).collect();
    let others = item
        .options
        .iter()
        .filter(|option| !own.contains(&option.name.as_str()));
    let others: Vec<String> = others.map(|option| format!("`{}`", option.name)).collect();
    let borrows = item.signatures.iter().any(|s| !s.doc.borrows().is_empty());
    (!others.is_empty() && !borrows).then(|| {
        format!(
            "Further options, explained at `{}`: {}.",
            item.home,
            others.join(", ")
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
