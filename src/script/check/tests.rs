use super::*;
use crate::script::modules::STD;
use std::path::PathBuf;

/// What `check` draws.
fn drawings(path: &Path) -> Vec<String> {
    check(&[path.into()], false)
        .into_iter()
        .map(|found| found.drawing)
        .collect()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("a file").path());
    entries
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "rhai")
        })
        .collect()
}

#[test]
fn nothing_is_found_in_scripts_that_are_right() {
    for path in ["scripts", "outputs", "stdlib"].into_iter().flat_map(files) {
        assert_eq!(drawings(&path), Vec::<String>::new(), "{}", path.display());
    }
}

/// Rhai remembers what a call without `module::` led to by name and number of arguments alone, also across
/// modules: with the same name twice, one module would call the other's function.
#[test]
fn what_the_library_calls_without_a_module_has_a_name_of_its_own() {
    let sources = ScriptSources::new(Path::new("."));
    for (path, source) in sources.all() {
        let plain = calls::of(source)
            .into_iter()
            .filter(|call| call.namespace().is_none());
        for call in plain.filter(|call| call.style == calls::Style::Function) {
            let others = sources.all().filter(|(other, _)| *other != path);
            let twins = others.filter(|(_, other)| {
                other
                    .functions()
                    .iter()
                    .any(|f| f.name == call.expr.name.as_str())
            });
            let twins: Vec<&str> = twins.map(|(path, _)| path).collect();
            assert_eq!(twins, Vec::<&str>::new(), "`{}` of {path}", call.expr.name);
        }
    }
}

#[test]
fn functions_of_two_scripts_that_are_taken_for_each_other_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a script");
    write(
        "a.rhai",
        "fn made(x) { twice(x) }\nprivate fn twice(x) { x * 2 }",
    );
    write(
        "b.rhai",
        "fn made(x) { twice(x) }\nprivate fn twice(x) { x * 3 }\nprivate fn once(x) { x }",
    );
    write(
        "main.rhai",
        "import \"a\" as a;\nimport \"b\" as b;\nfn test_both() { once(a::made(1) + b::made(1)) }\nprivate fn once(x) { x }",
    );
    let found = drawings(&folder.path().join("main.rhai"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("`twice` may be that of `b`, which calls one named alike"),
        "{}",
        found[0]
    );
    assert!(
        found[1].contains("`twice` may be that of `a`"),
        "{}",
        found[1]
    );
}

#[test]
fn a_function_that_is_taken_for_one_of_the_library_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("main.rhai");
    let text = "import \"std/check\" as check;\nfn test_a() { check_faster(1, 2, 3); check::faster(1, 2); }\nfn check_faster(a, b, c) {}";
    std::fs::write(&path, text).expect("a script");
    let found = drawings(&path);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("`check_faster` may be that of `std/check`"),
        "{}",
        found[0]
    );
    let told = warnings("main.rhai", text, folder.path())
        .pop()
        .expect("a warning");
    assert!(
        told.starts_with("`check_faster` at main.rhai:2:15 and at std/check:"),
        "{told}"
    );
}

#[test]
fn the_library_alone_has_no_twins() {
    let imports = STD.map(|(path, _)| format!("import \"{path}\" as {};", path.replace('/', "_")));
    assert!(warnings("main.rhai", &imports.join("\n"), Path::new(".")).is_empty());
}
