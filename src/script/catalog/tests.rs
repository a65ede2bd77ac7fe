use super::*;

#[test]
fn every_option_is_explained_and_every_explained_option_is_taken() {
    let catalog = Catalog::read();
    let mut problems = Vec::new();
    for item in &catalog.items {
        for option in item.options.iter().filter(|option| option.doc.is_empty()) {
            problems.push(format!(
                "`{}` takes `{}`, which its doc comment does not explain",
                item.title(),
                option.name
            ));
        }
        for signature in &item.signatures {
            let known = |name: &str| item.options.iter().any(|option| option.name == name);
            for option in signature
                .doc
                .options
                .iter()
                .filter(|option| !known(&option.name))
            {
                problems.push(format!(
                    "`{}` explains `{}`, which it does not take",
                    item.title(),
                    option.name
                ));
            }
        }
    }
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn all_homes_are_there() {
    let catalog = Catalog::read();
    for title in [
        "run",
        "start",
        "sleep",
        "load::dummy",
        "vllm::engine",
        "Engine.close",
        "Distribution.p50",
        "ExperimentResult[…]",
    ] {
        assert_eq!(catalog.find(title).len(), 1, "{title}");
    }
    assert!(catalog.find("load").len() > 8);
    assert_eq!(
        catalog.nearest("load::dumy").as_deref(),
        Some("load::dummy")
    );
    assert_eq!(catalog.nearest("dumy").as_deref(), Some("load::dummy"));
}

#[test]
fn no_name_is_reserved_in_rhai() {
    let engine = rhai::Engine::new();
    let names = |item: &Item| {
        let options = item.options.iter().map(|option| option.name.clone());
        let is_operator = !item.name.starts_with(|c: char| c.is_alphabetic());
        options
            .chain((item.kind != Kind::Index && !is_operator).then(|| item.name.clone()))
            .collect::<Vec<_>>()
    };
    for name in Catalog::read().items.iter().flat_map(names) {
        let script = format!("fn {name}() {{}} let {name} = #{{ {name}: 1 }};");
        assert!(engine.compile(&script).is_ok(), "`{name}` is reserved");
    }
}

#[test]
fn every_function_has_an_example() {
    let lacks = |item: &&Item| {
        item.signatures
            .iter()
            .all(|signature| signature.doc.example.is_none())
    };
    let catalog = Catalog::read();
    assert_eq!(
        catalog
            .items
            .iter()
            .filter(lacks)
            .map(Item::title)
            .collect::<Vec<_>>(),
        Vec::<String>::new()
    );
}

/// Advice says `lmrun api NAME`: that there is one.
#[test]
fn whose_options_are_refused_is_found() {
    let catalog = Catalog::read();
    for (path, text) in super::super::modules::STD {
        for call in ["options::fill(\"", "core::spec(\""] {
            for name in text
                .split(call)
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
            {
                assert!(
                    catalog.items.iter().any(|item| item.title() == name),
                    "{path}: {name}"
                );
            }
        }
    }
}
