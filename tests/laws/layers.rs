//! Each layer knows only the layers below it, and each outside crate has its layer.

use super::assert_none;
use super::source::{Mention, RustFile, mentions, rust_files, text_files};

/// The layers, and those that each may import.
const LAYERS: [(&str, &[&str]); 7] = [
    ("driver", &[]),
    ("sim", &[]),
    ("figure", &[]),
    ("core", &["driver"]),
    ("report", &["core", "driver", "figure"]),
    ("script", &["core", "driver", "figure"]),
    (
        "cli",
        &["core", "driver", "figure", "report", "script", "sim"],
    ),
];

/// Crates, modules and macros, and the places under `src/` that may name them outside of tests.
const PLACES: [(&str, &[&str]); 36] = [
    ("axum", &["sim"]),
    ("bollard", &["driver/container"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("comfy_table", &["report"]),
    ("console::Term", &["report"]),
    (
        "csv",
        &["core/result", "core/workload/trace", "report/rows.rs"],
    ),
    ("dejavu", &["figure"]),
    ("futures_util", &["driver/container"]),
    ("hyper", &["driver/http", "sim/http"]),
    (
        "jiff",
        &[
            "cli/stage.rs",
            "core/workload/trace",
            "report",
            "sim/log.rs",
        ],
    ),
    ("krilla", &["figure"]),
    ("krilla_svg", &["figure"]),
    ("miette", &["script"]),
    ("minijinja", &["report"]),
    ("nix", &["cli", "driver", "report/outputs.rs", "sim"]),
    ("nu_ansi_term", &["cli/repl"]),
    ("nvml_wrapper", &["driver"]),
    ("procfs", &["cli/signals.rs", "driver"]),
    ("rand", &["core/workload"]),
    ("reedline", &["cli/repl"]),
    (
        "regex",
        &["cli", "core/doctor.rs", "driver/secrets.rs", "script"],
    ),
    ("reqwest", &["driver"]),
    ("rhai", &["script"]),
    ("serde_saphyr", &["script/api/files.rs", "sim/lmcache"]),
    ("textwrap", &["figure", "report", "script/catalog"]),
    ("tokenizers", &["driver/tokenizer.rs"]),
    ("tokio::process", &["driver"]),
    ("tokio_rustls", &["driver/tls.rs"]),
    ("usvg", &["figure"]),
    // A fault of the simulator leaves processes behind.
    ("std::process::Command", &["driver", "sim/fault"]),
    ("println!", &["cli", "sim"]),
    ("eprintln!", &["cli", "sim"]),
    ("dbg!", &[]),
    ("todo!", &[]),
];

/// Returns true if a mention is of this crate, module, type or macro.
fn is(mention: &Mention, path: &str) -> bool {
    let path = path.replace('!', "::!");
    let path: Vec<&str> = path.split("::").collect();
    match path.as_slice() {
        // The name alone may be a variable.
        [name] => mention.path.len() == 2 && mention.path[0] == *name && mention.path[1] != "!",
        _ => mention.path == path,
    }
}

fn places(file: &RustFile, mentions: &[Mention], path: &str) -> Vec<String> {
    mentions
        .iter()
        .filter(|mention| is(mention, path))
        .map(|mention| file.file.place(mention.line))
        .collect()
}

#[test]
fn imports_point_down_only() {
    let mut breaches = Vec::new();
    for (layer, below) in LAYERS {
        for file in rust_files(&format!("src/{layer}")) {
            let mentions = mentions(file.all.clone());
            for (other, _) in LAYERS {
                if other != layer && !below.contains(&other) {
                    breaches.extend(places(&file, &mentions, &format!("crate::{other}")));
                }
            }
        }
    }
    assert_none(
        &breaches,
        "a layer must not import a higher one: move the code",
    );
}

#[test]
fn outside_crates_stay_in_their_places() {
    let mut breaches = Vec::new();
    for file in rust_files("src") {
        let mentions = mentions(file.code.clone());
        for (path, allowed) in PLACES {
            let is_allowed = allowed
                .iter()
                .any(|place| file.file.path.starts_with(format!("src/{place}")));
            if !is_allowed {
                for place in places(&file, &mentions, path) {
                    breaches.push(format!("`{path}` (only in {allowed:?}): {place}"));
                }
            }
        }
    }
    assert_none(&breaches, "move the code to the layer of the crate");
}

#[test]
fn only_the_library_of_scripts_names_engines() {
    // `--engine auto` looks for vLLM; the simulator behaves like it.
    let allowed = ["src/cli/stage.rs", "src/sim"];
    for file in text_files("src", &["rs"]) {
        if file.is_under(&allowed) {
            continue;
        }
        let breaches: Vec<String> = file
            .lines()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .filter(|(_, line)| {
                ["\"vllm\"", "LMCACHE", "llama-server"]
                    .iter()
                    .any(|engine| line.contains(engine))
            })
            .map(|(number, _)| file.place(number))
            .collect();
        assert_none(
            &breaches,
            "write in `stdlib/` what is special to one engine",
        );
    }
}

#[test]
fn scripts_import_std_and_std_imports_core() {
    for (folder, roots) in [
        ("scripts", &["std/"][..]),
        ("outputs", &["std/"]),
        ("stdlib", &["core/", "std/"]),
    ] {
        for file in text_files(folder, &["rhai"]) {
            let breaches: Vec<String> = file
                .lines()
                .filter(|(_, line)| line.trim_start().starts_with("import \""))
                .filter(|(_, line)| {
                    let import = line.split('"').nth(1).expect("a path");
                    !roots.iter().any(|root| import.starts_with(root))
                })
                .map(|(number, _)| file.place(number))
                .collect();
            assert_none(&breaches, &format!("import from {roots:?} only"));
        }
    }
}
