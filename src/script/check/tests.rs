use super::*;
use std::path::PathBuf;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("a file").path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "rhai")).collect()
}

#[test]
fn nothing_is_found_in_scripts_that_are_right() {
    for path in files("scripts").into_iter().chain(files("stdlib")) {
        assert_eq!(check(&path, false), Vec::<String>::new(), "{}", path.display());
    }
}

/// Rhai remembers what a call without `module::` led to by name and number of arguments alone, also across
/// modules: with the same name twice, one module would call the other's function.
#[test]
fn what_the_library_calls_without_a_module_has_a_name_of_its_own() {
    let sources = Sources::new(Path::new("."));
    for (path, source) in sources.all() {
        let plain = calls::of(source).into_iter().filter(|call| call.namespace().is_none());
        for call in plain.filter(|call| call.style == calls::Style::Function) {
            let others = sources.all().filter(|(other, _)| *other != path);
            let twins = others
                .filter(|(_, other)| other.functions().iter().any(|f| f.name == call.expr.name.as_str()));
            let twins: Vec<&str> = twins.map(|(path, _)| path).collect();
            assert_eq!(twins, Vec::<&str>::new(), "`{}` of {path}", call.expr.name);
        }
    }
}

#[test]
fn functions_of_two_scripts_that_are_taken_for_each_other_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a script");
    write("a.rhai", "fn made(x) { twice(x) }\nprivate fn twice(x) { x * 2 }");
    write("b.rhai", "fn made(x) { twice(x) }\nprivate fn twice(x) { x * 3 }\nprivate fn once(x) { x }");
    write(
        "main.rhai",
        "import \"a\" as a;\nimport \"b\" as b;\nfn test_both() { once(a::made(1) + b::made(1)) }\nprivate fn once(x) { x }",
    );
    let found = check(&folder.path().join("main.rhai"), false);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("`twice` may be that of `b`, which calls one named alike"), "{}", found[0]);
    assert!(found[1].contains("`twice` may be that of `a`"), "{}", found[1]);
}
