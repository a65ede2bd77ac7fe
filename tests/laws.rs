//! The laws of the architecture: what each layer must not know.
#![allow(missing_docs, reason = "a test file")]

use std::path::{Path, PathBuf};

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no {extension} files in {folder}");
    found
}

/// Lines of code that contain `word`, as `file:line`.
fn lines_with(path: &Path, word: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a file");
    let code = |line: &str| !line.trim_start().starts_with("//");
    let hits = text
        .lines()
        .enumerate()
        .filter(|(_, line)| code(line) && line.contains(word));
    hits.map(|(number, line)| format!("{}:{}: {}", path.display(), number + 1, line.trim()))
        .collect()
}

/// Lines under `src/`, outside the layers in `but`, that contain `word`.
fn outside(but: &[&str], word: &str) -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let exempt = |path: &PathBuf| but.iter().any(|layer| path.starts_with(src.join(layer)));
    files("src", "rs")
        .iter()
        .filter(|path| !exempt(path))
        .flat_map(|path| lines_with(path, word))
        .collect()
}

#[test]
fn imports_point_down_only() {
    let below: [(&str, &[&str]); 6] = [
        ("driver", &[]),
        ("sim", &[]),
        ("figure", &[]),
        ("core", &["driver"]),
        ("report", &["core", "driver", "figure"]),
        ("script", &["core", "driver", "figure"]),
    ];
    let layers = ["driver", "sim", "figure", "core", "report", "script", "cli"];
    for (layer, allowed) in below {
        for other in layers
            .iter()
            .filter(|other| **other != layer && !allowed.contains(other))
        {
            for path in files(&format!("src/{layer}"), "rs") {
                let upward = lines_with(&path, &format!("crate::{other}"));
                assert_eq!(
                    upward,
                    Vec::<String>::new(),
                    "{layer} must not know {other}"
                );
            }
        }
    }
}

#[test]
fn each_outside_word_has_its_layer() {
    for (word, layers) in [
        ("rhai::", &["script"][..]),
        ("reqwest", &["driver"]),
        ("nvml_wrapper", &["driver"]),
        ("hyper::client", &["driver", "sim"]),
        ("std::process::Command", &["driver", "sim/fault"]), // a fault is what an engine leaves behind
        ("clap::", &["cli"]),
        ("reedline", &["cli/repl"]),
        ("nu_ansi_term", &["cli/repl"]),
        ("axum", &["sim"]),
        ("comfy_table", &["report"]),
        ("minijinja", &["report"]),
        ("console::Term", &["report"]),
        ("krilla", &["figure"]),
        ("println!", &["cli", "sim"]),
        ("dbg!", &[]),
        ("todo!", &[]),
    ] {
        assert_eq!(
            outside(layers, word),
            Vec::<String>::new(),
            "`{word}` belongs to {layers:?}"
        );
    }
}

#[test]
fn no_layer_but_the_library_of_scripts_knows_an_engine() {
    for engine in ["\"vllm\"", "LMCACHE", "llama-server"] {
        let allowed = ["cli/stage.rs", "sim"]; // `--engine auto` looks for vLLM; the simulator models it
        assert_eq!(outside(&allowed, engine), Vec::<String>::new());
    }
}

#[test]
fn scripts_import_std_and_std_imports_core() {
    for (folder, roots) in [
        ("scripts", &["std/"][..]),
        ("outputs", &["std/"]),
        ("stdlib", &["core/", "std/"]),
    ] {
        for path in files(folder, "rhai") {
            for line in lines_with(&path, "import \"") {
                let import = line.split('"').nth(1).expect("a path");
                assert!(roots.iter().any(|root| import.starts_with(root)), "{line}");
            }
        }
    }
}

#[test]
fn no_unwrap_outside_tests() {
    for path in files("src", "rs") {
        let text = std::fs::read_to_string(&path).expect("a file");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        assert!(
            !code.contains(".unwrap()")
                || path
                    .iter()
                    .any(|part| part == "tests" || part == "tests.rs"),
            "{}",
            path.display()
        );
    }
}

/// The tests of a file without the built-in harness are listed in its `main`; there, `#[test]` is without effect.
/// A test that prints a reason and returns would be counted as passed: `tests/common/needs.rs` is for that.
#[test]
fn no_test_is_left_out_in_silence() {
    let cargo = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .expect("Cargo.toml");
    let own_harness: Vec<&str> = cargo
        .split("[[test]]")
        .skip(1)
        .filter(|entry| entry.contains("harness = false"))
        .filter_map(|entry| entry.split('"').nth(1))
        .collect();
    assert!(own_harness.contains(&"report"), "{own_harness:?}");
    for path in files("tests", "rs") {
        let name = path.file_stem().expect("a name").to_str().expect("UTF-8");
        if own_harness.contains(&name) {
            assert_eq!(
                lines_with(&path, "#[test]"),
                Vec::<String>::new(),
                "`harness = false`"
            );
        }
        if name != "laws" {
            assert_eq!(lines_with(&path, "eprintln!"), Vec::<String>::new());
        }
    }
}
