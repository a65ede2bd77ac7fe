use super::calls::{self, Style};
use super::{check, warnings};
use crate::script::modules::STD;
use crate::script::source::ScriptSources;
use std::path::{Path, PathBuf};

/// The drawings of the findings of `check`.
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
fn check_finds_nothing_in_correct_scripts() {
    for path in ["scripts", "outputs", "stdlib"].into_iter().flat_map(files) {
        assert_eq!(drawings(&path), Vec::<String>::new(), "{}", path.display());
    }
}

/// Rhai caches calls without `module::` by name and number of arguments only, also across modules.
#[test]
fn name_clash_of_unqualified_calls_is_not_in_the_library() {
    let sources = ScriptSources::new(Path::new("."));
    for (path, source) in sources.all() {
        let plain = calls::find(source)
            .into_iter()
            .filter(|call| call.namespace().is_none());
        for call in plain.filter(|call| call.style == Style::Function) {
            let others = sources.all().filter(|(other, _)| *other != path);
            let clashes = others.filter(|(_, other)| {
                other
                    .functions()
                    .iter()
                    .any(|f| f.name == call.expr.name.as_str())
            });
            let clashes: Vec<&str> = clashes.map(|(path, _)| path).collect();
            assert_eq!(
                clashes,
                Vec::<&str>::new(),
                "`{}` of {path}",
                call.expr.name
            );
        }
    }
}

#[test]
fn name_clash_of_two_scripts_is_a_warning() {
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
        found[0].contains("`twice` may call the function of `b`, which calls its own `twice`"),
        "{}",
        found[0]
    );
    assert!(
        found[1].contains("`twice` may call the function of `a`"),
        "{}",
        found[1]
    );
}

#[test]
fn name_clash_with_the_library_is_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("main.rhai");
    let text = "import \"std/check\" as check;\nfn test_a() { check_text(1); check::at_least(1, 2, \"a\"); }\nfn check_text(a) {}";
    std::fs::write(&path, text).expect("a script");
    let found = drawings(&path);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("`check_text` may call the function of `std/check`"),
        "{}",
        found[0]
    );
    let told = warnings("main.rhai", text, folder.path())
        .pop()
        .expect("a warning");
    assert!(
        told.starts_with("`check_text` at main.rhai:2:15 and at std/check:"),
        "{told}"
    );
}

#[test]
fn name_clash_is_not_in_the_library() {
    let imports = STD.map(|(path, _)| format!("import \"{path}\" as {};", path.replace('/', "_")));
    assert!(warnings("main.rhai", &imports.join("\n"), Path::new(".")).is_empty());
}
