use super::*;

#[test]
fn options_all_have_documentation() {
    let mut without = Vec::new();
    for item in Catalog::read().items {
        for option in item.options.iter().filter(|option| option.doc.is_empty()) {
            without.push(format!("`{}` of `{}`", option.name, item.title()));
        }
    }
    assert_eq!(without, Vec::<String>::new());
}

#[test]
fn options_are_those_of_the_declaration() {
    let catalog = Catalog::read();
    let option = |title: &str, name: &str| {
        let items = catalog.find(title);
        let found = items[0].options.iter().find(|option| option.name == name);
        found.expect(name).doc_with_default()
    };
    let tokens = "Tokens of the shared context. (default: 8192)";
    assert_eq!(option("load::dummy", "context_len"), tokens);
    assert_eq!(
        option("load::dummy", "requests"),
        "Number of requests. (default: 10)"
    );
    assert_eq!(
        option("vllm::engine", "gpu_memory_utilization"),
        "Share of GPU memory to use. (default: 0.8)"
    );
    let model = "Model to serve. (default: `-m`, else \"sim-7b\")";
    assert_eq!(option("sim::engine", "model"), model);
    assert!(option("run", "limits").contains("`connect_s` (10.0)"));
    assert!(option("engine::chosen", "gpu_memory_utilization").starts_with("Share of GPU memory"));
    assert!(option("start", "ready_path").starts_with("Path"));
}

#[test]
fn items_are_in_all_homes() {
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
fn names_are_not_reserved_in_rhai() {
    let engine = rhai::Engine::new();
    let names = |item: &Item| {
        let options = item.options.iter().map(|option| option.name.clone());
        let is_operator = !item.name.starts_with(|c: char| c.is_alphabetic());
        options
            .chain((item.kind != ItemKind::Index && !is_operator).then(|| item.name.clone()))
            .collect::<Vec<_>>()
    };
    for name in Catalog::read().items.iter().flat_map(names) {
        let script = format!("fn {name}() {{}} let {name} = #{{ {name}: 1 }};");
        assert!(engine.compile(&script).is_ok(), "`{name}` is reserved");
    }
}

#[test]
fn functions_all_have_an_example() {
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

/// Errors advise `lmrun api NAME`.
#[test]
fn functions_in_errors_are_in_the_catalog() {
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

#[test]
fn guide_includes_tables_of_the_reference() {
    let pages = Catalog::read().pages();
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src/guide");
    let mut included = 0;
    for entry in std::fs::read_dir(guide).expect("the guide") {
        let text = std::fs::read_to_string(entry.expect("a page").path()).expect("a text");
        for include in text.split("{{#include ../reference/api/").skip(1) {
            let (target, _) = include.split_once("}}").expect("an end");
            let (file, anchor) = target.split_once(':').expect("an anchor");
            let (_, page) = pages.iter().find(|page| page.0 == file).expect(file);
            assert!(
                page.contains(&format!("<!-- ANCHOR: {anchor} -->\n|")),
                "{target}"
            );
            included += 1;
        }
    }
    assert!(included > 5, "only {included} tables are included");
}
