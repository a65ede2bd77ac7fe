//! What scripts can call: every example works, the book's pages are those of today, and what editors and
//! shells are given is whole.

use crate::common::{Finished, Sandbox, finish, lmrun, root};
use std::net::TcpListener;

const REFERENCE: &str = "book/src/reference/api";

fn run(args: &[&str]) -> Finished {
    finish(lmrun().current_dir(root()).args(args))
}

/// The files that lmrun writes with `flag`, by name.
fn written(flag: &str) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = run(&["api", flag, &folder.path().display().to_string()]);
    ran.assert_code(0);
    files(folder.path())
}

fn files(folder: &std::path::Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("a file").path());
    let read = |path: std::path::PathBuf| {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        (name, std::fs::read_to_string(path).expect("a text"))
    };
    let mut files: Vec<_> = entries.map(read).collect();
    files.sort();
    files
}

/// The examples on the pages: where, and what.
fn examples() -> Vec<(String, String)> {
    let mut examples = Vec::new();
    for (page, text) in written("--book") {
        let mut section = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(title) = line.strip_prefix("## ") {
                section = format!("{page}: {title}");
            } else if line == "```rhai,part" && !section.is_empty() {
                let code: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                examples.push((section.clone(), code.join("\n")));
            }
        }
    }
    assert!(examples.len() > 60, "only {} examples", examples.len());
    examples
}

/// Every module under its usual name.
fn imports() -> String {
    let modules = std::fs::read_dir(root().join("stdlib")).expect("the folder");
    let names = modules.map(|entry| {
        entry
            .expect("a file")
            .path()
            .file_stem()
            .expect("a name")
            .to_owned()
    });
    let import = |name: std::ffi::OsString| {
        let name = name.to_string_lossy();
        format!(r#"import "std/{name}" as {name};"#)
    };
    names.map(import).collect::<Vec<_>>().join("\n") + "\n"
}

/// What examples may speak of: an experiment with two engines.
const EXPERIMENT: &str = r#"
    let plain = sim::engine(#{ name: "plain" });
    let cached = sim::engine(#{ name: "cached", gpu: 1, prefix_caching: true });
    let work = load::dummy(#{ requests: 3, gap_s: 0.2, context_len: 4096, max_tokens: 2 });
    let seen = run(work, [plain, cached]);
"#;

#[test]
fn doc_examples_pass_on_the_simulator() {
    let needs_a_program = |code: &str| code.contains("start(redis::");
    let (started, others): (Vec<_>, Vec<_>) = examples()
        .into_iter()
        .partition(|(_, code)| needs_a_program(code));
    let (seen, alone): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|(_, code)| code.contains("plain]"));
    let block =
        |(place, code): &(String, String)| format!("    // {place}\n    {{\n{code}\n    }}\n");
    let blocks =
        |examples: &[(String, String)]| examples.iter().map(block).collect::<Vec<_>>().concat();
    let text = format!(
        "{}fn test_seen() {{{EXPERIMENT}{}}}\nfn test_alone() {{{EXPERIMENT}{}}}\nfn checked_only() {{\n{}}}\n",
        imports(),
        blocks(&seen),
        blocks(&alone),
        blocks(&started)
    );
    let mut sandbox = Sandbox::new().file("examples.rhai", &text);
    for (name, data) in files(&root().join("scripts/data")) {
        sandbox = sandbox.file(&format!("data/{name}"), &data);
    }
    let results = "expr_id,timestamp,engine_id,request_id,TTFT,throughput,latency,context_len,query_len,gpu_memory,engine,status,prompt_tokens,cached_tokens\n\
        0,0,0,0,0.5,40,2.5,100,10,\"{}\",a,ok,110,0\n0,1,0,1,0.25,40,2.25,100,10,\"{}\",a,ok,110,96\n";
    for folder in ["outputs", "monday", "tuesday"] {
        sandbox = sandbox.file(&format!("{folder}/test_a.csv"), results);
    }
    let checked = finish(sandbox.lmrun(&["check", "examples.rhai"]));
    checked.assert_code(0);
    // Examples start several engines, which get the ports that follow.
    let are_free = |first: &u16| {
        (*first..first + 8).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
    };
    let first = (21_000..24_000)
        .step_by(10)
        .find(are_free)
        .expect("eight ports");
    sandbox.ports = [first, first + 1];
    let mut command = sandbox.command(&["examples.rhai", "--engine", "sim"]);
    let ran = finish(command.env("EXAMPLE_KEY", "k").env("HF_TOKEN", "k"));
    ran.assert_code(0);
    sandbox.assert_nothing_runs();
}

#[test]
fn reference_pages_are_up_to_date() {
    let renew = format!("the reference is stale: `cargo run -- api --book {REFERENCE}` renews it");
    let (today, there) = (written("--book"), files(&root().join(REFERENCE)));
    let names = |files: &[(String, String)]| {
        files
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&today), names(&there), "{renew}");
    for ((name, today), (_, there)) in today.iter().zip(&there) {
        assert!(today == there, "{name}: {renew}");
    }
}

#[test]
fn definitions_list_every_function() {
    let files = written("--definitions");
    let of = |name: &str| {
        files
            .iter()
            .find(|(file, _)| file == name)
            .map(|(_, text)| text.as_str())
            .expect("the file")
    };
    assert!(of("lmrun.d.rhai").contains("\nfn start(engine: EngineSpec) -> Engine;\n"));
    assert!(of("lmrun.d.rhai").contains("\nfn get ttft(this: EngineResult) -> Distribution;\n"));
    assert!(of("load.d.rhai").starts_with("module load;\n"));
    assert!(of("load.d.rhai").contains("\nfn dummy(options: ?) -> ?;\n"));
    assert!(of("__builtin__.d.rhai").contains("module static;"));
}

#[test]
fn api_shows_one_function_and_suggests_similar_names() {
    insta::assert_snapshot!(run(&["api", "check::faster"]).stdout);
    let slip = run(&["api", "load::dumy"]);
    assert_eq!(
        (slip.code, slip.stderr.trim_end()),
        (
            2,
            "error: unknown name `load::dumy`; did you mean `load::dummy`?"
        )
    );
    let list = run(&["api"]).stdout;
    for title in [
        "run(workload, engines)",
        "Engine.close()",
        "load::dummy(options)",
    ] {
        assert!(list.contains(title), "{list}");
    }
    assert!(!list.contains("core/"), "{list}");
}

#[test]
fn new_test_passes() {
    let sandbox = Sandbox::new();
    let new = |args: &[&str]| finish(sandbox.lmrun(&["new", "test"]).args(args));
    assert_eq!(new(&["mine"]).code, 0);
    let again = new(&["mine"]);
    assert_eq!(
        (again.code, again.stderr.trim_end()),
        (
            2,
            "error: `mine.rhai` already exists; choose another file with `-o FILE`"
        )
    );
    assert_eq!(
        new(&["a b"]).stderr.trim_end(),
        "error: invalid test name `a b`: expected letters, digits and `_`, such as `prefix_cache`"
    );
    let ran = sandbox.run(&["mine.rhai", "--engine", "sim"]);
    ran.assert_code(0);
    assert!(sandbox.path("out/test_mine.csv").is_file());
}

#[test]
fn completions_and_man_page_list_all_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let text = run(&["completions", shell]).stdout;
        assert!(
            text.contains("doctor") && text.contains("max-send-lag-s"),
            "{shell}"
        );
    }
    let page = run(&["man"]).stdout;
    assert!(
        page.contains(".TH lmrun 1") && page.contains("doctor"),
        "{page}"
    );
}
