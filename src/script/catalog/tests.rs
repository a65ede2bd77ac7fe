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
            for option in signature.doc.options.iter().filter(|option| !known(&option.name)) {
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
        "Seen[…]",
    ] {
        assert_eq!(catalog.find(title).len(), 1, "{title}");
    }
    assert!(catalog.find("load").len() > 8);
    assert_eq!(catalog.nearest("load::dumy").as_deref(), Some("load::dummy"));
    assert_eq!(catalog.nearest("dumy").as_deref(), Some("load::dummy"));
}
