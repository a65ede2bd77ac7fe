//! The catalog as definition files for editors with a language server for Rhai.

use super::show::list;
use super::{Catalog, Home, Item, ItemKind, ItemSignature};
use std::fmt::Write;

impl Catalog {
    /// The files: names and texts.
    pub(crate) fn definitions(&self) -> Vec<(String, String)> {
        let rhai = rhai::Engine::new_raw();
        let built_in = rhai.definitions().include_standard_packages(true);
        let mut files: Vec<_> = built_in
            .iter_files()
            .filter(|(name, _)| name.starts_with("__builtin"))
            .collect();
        files.push((
            "lmrun.d.rhai".into(),
            self.file("static", &|home| !matches!(home, Home::Module(_))),
        ));
        for module in &self.modules {
            let home = Home::Module(module.path.clone());
            files.push((
                format!("{}.d.rhai", home.alias()),
                self.file(home.alias(), &|other| *other == home),
            ));
        }
        files
    }

    fn file(&self, module: &str, is_in: &dyn Fn(&Home) -> bool) -> String {
        let items = self.items.iter().filter(|item| is_in(&item.home));
        let all = items.flat_map(|item| {
            item.signatures
                .iter()
                .map(move |signature| definition(item, signature))
        });
        format!("module {module};\n\n{}", all.collect::<Vec<_>>().join("\n"))
    }
}

fn definition(item: &Item, signature: &ItemSignature) -> String {
    let mut text = String::new();
    for line in comment(item, signature).lines() {
        let _ = writeln!(text, "{}", format!("/// {line}").trim_end());
    }
    let name = match item.kind {
        ItemKind::Property => format!("get {}", item.name),
        ItemKind::Index => "index$get$".into(),
        _ => item.name.clone(),
    };
    let this = match &item.home {
        Home::Type(kind) => Some(format!("this: {kind}")),
        _ => None,
    };
    let given = signature
        .params
        .iter()
        .map(|param| format!("{}: {}", param.name, kind(param.kind.as_deref())));
    let params: Vec<String> = this.into_iter().chain(given).collect();
    let _ = writeln!(
        text,
        "fn {name}({}) -> {};",
        params.join(", "),
        kind(signature.returns.as_deref())
    );
    text
}

fn comment(item: &Item, signature: &ItemSignature) -> String {
    let mut text = signature.doc.text.clone();
    let longest = item
        .signatures
        .iter()
        .map(|signature| signature.params.len())
        .max();
    let options = item.own_options();
    if !options.is_empty() && longest == Some(signature.params.len()) {
        let _ = write!(text, "\n\nOptions:\n{}", list(options));
    }
    if let Some(example) = &signature.doc.example {
        let _ = write!(text, "\n\n```rhai\n{example}\n```");
    }
    text
}

/// The name of a type in definition files.
fn kind(kind: Option<&str>) -> String {
    let one = |kind: &str| match kind {
        "string" => "String".to_owned(),
        "array" => "Array".into(),
        "map" => "Map".into(),
        "any" => "?".into(),
        other => other.into(),
    };
    kind.map_or("?".into(), |kind| {
        kind.split(" | ").map(one).collect::<Vec<_>>().join(" | ")
    })
}
