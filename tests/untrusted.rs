//! Names, paths and files that others chose must not control lmrun, its terminal or a spreadsheet.

use crate::common::{Finished, Sandbox, Server, lmrun, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

const IMPORTS: &str = r#"
    import "std/load" as load;
    import "std/sim" as sim;
    import "std/vllm" as vllm;
"#;
const RUN: &str = "run(load::dummy(#{ requests: 2, gap_s: 0, context_len: 20, max_tokens: 2 }), [sim::engine()]);";
/// The first ten columns of a result.
const HEADER: &str = "expr_id,timestamp,engine_id,request_id,TTFT,throughput,latency,context_len,query_len,gpu_memory";

fn test(body: &str) -> String {
    format!("{IMPORTS}fn test_a() {{ {body} }}")
}

/// Runs lmrun in a folder, for 15 seconds at most.
fn lmrun_in(folder: &Path, args: &[&OsStr]) -> Finished {
    let child = lmrun()
        .current_dir(folder)
        .args(args)
        .spawn()
        .expect("lmrun");
    let pid = Pid::from_raw(child.id() as i32);
    let waiting = std::thread::spawn(move || wait(child));
    let deadline = Instant::now() + Duration::from_secs(15);
    while !waiting.is_finished() {
        if Instant::now() > deadline {
            let _ = kill(pid, Signal::SIGKILL);
            panic!("it waits: {args:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    waiting.join().expect("its end")
}

fn words<'a>(words: &[&'a str]) -> Vec<&'a OsStr> {
    words.iter().copied().map(OsStr::new).collect()
}

fn pipe(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
}

#[test]
fn non_utf8_paths_work_or_are_reported() {
    let sandbox = Sandbox::new();
    let [p1, p2] = sandbox.ports.map(|port| port.to_string());
    let (script, out) = (
        OsStr::from_bytes(b"s\xff.rhai"),
        OsStr::from_bytes(b"o\xff"),
    );
    let start = |body: &str| {
        std::fs::write(sandbox.dir.path().join(script), test(body)).expect("a script");
        let mut all = vec![script, OsStr::new("-o"), out];
        all.extend(words(&["-p", &p1, &p2, "--max-send-lag-s", "10"]));
        lmrun_in(sandbox.dir.path(), &all)
    };
    let run = start(RUN);
    run.assert_code(0);
    let run = start("vllm::engine(#{ lmcache: #{ chunk_size: 256 } });");
    run.assert_code(1);
    assert!(
        run.stderr.contains("is not UTF-8") && run.stderr.contains("`-o DIR`"),
        "{}",
        run.stderr
    );
}

#[test]
fn engine_name_cannot_escape_the_output_folder() {
    for name in ["../../evil", "/tmp/lmrun-evil", ".evil"] {
        let body = r#"vllm::engine(#{ name: "NAME", lmcache: #{ chunk_size: 256 } });"#
            .replace("NAME", name);
        let sandbox = Sandbox::new().file("in/it/t.rhai", &test(&body));
        let run = sandbox.run(&["in/it/t.rhai"]);
        run.assert_code(1);
        run.assert_stderr("invalid file name");
        assert!(
            !sandbox.path("evil-lmcache.yaml").exists()
                && !Path::new("/tmp/lmrun-evil-lmcache.yaml").exists()
        );
    }
    for name in ["a\\nb", "a\\x1b[31m", "a\\u202eb"] {
        let body = r#"sim::engine(#{ name: "NAME" });"#.replace("NAME", name);
        let run = Sandbox::new().file("t.rhai", &test(&body)).run(&["t.rhai"]);
        run.assert_code(1);
        run.assert_stderr("`name` has to be one line of printable text");
    }
}

#[test]
fn foreign_results_cannot_control_the_terminal() {
    let engine = "a\u{1b}[31mred\u{202e}";
    let rows = format!("{HEADER},engine\n0,0,0,0,1,1,1,1,1,,{engine}\n0,0,1,1,1,1,1,1,1,,b\n");
    let sandbox = Sandbox::new().file("names.csv", &rows).file(
        "cell.csv",
        &format!("{HEADER}\n0,0,0,\u{1b}[31mx,1,1,1,1,1,\n"),
    );
    for file in ["names.csv", "cell.csv"] {
        let run = lmrun_in(
            sandbox.dir.path(),
            &words(&["export", file, "--to", "vllm"]),
        );
        run.assert_code(2);
        assert!(
            !run.stderr.contains(['\u{1b}', '\u{202e}']),
            "{:?}",
            run.stderr
        );
    }
    let manifest =
        serde_json::json!({ "script": "a\u{202e}b", "argv": ["lmrun", "redis://:pw-0815@h"] });
    let sandbox = sandbox.file("names.manifest.json", &manifest.to_string());
    let run = lmrun_in(sandbox.dir.path(), &words(&["report", "names.csv"]));
    run.assert_code(0);
    let page = sandbox.read("report.html");
    assert!(
        page.contains("ab") && !page.contains('\u{202e}'),
        "marks turn the page"
    );
    assert!(
        page.contains("(removed)@h") && !page.contains("pw-0815"),
        "a password is on the page"
    );
}

#[test]
fn pipes_and_links_instead_of_files_are_refused() {
    let sandbox = Sandbox::new()
        .file("untouched", "untouched")
        .file("a.csv", &format!("{HEADER}\n0,0,0,0,1,1,1,1,1,\n"))
        .file("out/x", "")
        .file(
            "imports.rhai",
            r#"
            import "lib" as lib;

            fn test_a() {}
        "#,
        )
        .file("runs.rhai", &test(RUN));
    let folder = sandbox.dir.path();
    pipe(&folder.join("pipe.csv"));
    pipe(&folder.join("lib.rhai"));
    for verb in [
        &["report", "pipe.csv"][..],
        &["export", "pipe.csv", "--to", "vllm"],
    ] {
        let run = lmrun_in(folder, &words(verb));
        assert!(
            run.code == 2 && run.stderr.contains("not a file"),
            "{}: {}",
            run.code,
            run.stderr
        );
    }
    let run = lmrun_in(folder, &words(&["imports.rhai", "-o", "out"]));
    assert!(
        run.code != 0 && run.stderr.contains("unknown module `lib`"),
        "{}",
        run.stderr
    );

    let link = |at: &str| {
        std::os::unix::fs::symlink(folder.join("untouched"), folder.join(at)).expect("a link");
    };
    link("report.html");
    let run = lmrun_in(folder, &words(&["report", "a.csv"]));
    assert!(
        run.code != 0 && run.stderr.contains("it is a link, not a file"),
        "{}",
        run.stderr
    );
    let [port, _] = sandbox.ports;
    link(&format!("out/{port}-stderr.log"));
    let run = sandbox.run(&["runs.rhai", "--log-dir", "out"]);
    run.assert_code(3);
    run.assert_stderr("it is a link, not a file");
    assert_eq!(
        std::fs::read_to_string(folder.join("untouched")).expect("the file"),
        "untouched"
    );
}

#[test]
fn error_drawings_hide_secrets() {
    let body = r#"
        sim::engine(#{ env: #{ HF_TOKEN: "hf_drawn-0815", STORE: "redis://:drawn-4711@h" }, nmae: 1 });
    "#;
    let run = Sandbox::new().file("t.rhai", &test(body)).run(&["t.rhai"]);
    assert_ne!(run.code, 0);
    run.assert_stderr(r#"HF_TOKEN: "*************""#);
    assert!(
        !run.stderr.contains("hf_drawn") && !run.stderr.contains("drawn-4711"),
        "{}",
        run.stderr
    );

    let url = OsString::from("http://h/?api_key=sk-query-0815");
    let mut load = words(&["load", "--rate", "1", "--url"]);
    load.push(&url);
    let run = lmrun_in(Path::new("."), &load);
    assert!(
        run.code == 2 && !run.stderr.contains("sk-query"),
        "{}",
        run.stderr
    );
}

#[test]
fn csv_escapes_formulas() {
    let server = Server::start(|request| {
        if request.head.starts_with("get") {
            return ("200 OK", r#"{"data": [{"id": "m"}]}"#.into());
        }
        let event =
            r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"=HYPERLINK(\"http://x\")"}]}"#;
        ("200 OK", format!("data: {event}\n\ndata: [DONE]\n\n"))
    });
    let script = r#"
        import "std/openai" as openai;
        import "std/load" as load;
        fn test_a() { run(load::dummy(#{ requests: 1 }), [openai::engine(#{ url: "URL", model: "m" })]); }
        "#
        .replace("URL", &server.url());
    let sandbox = Sandbox::new().file("t.rhai", &script);
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
    assert_eq!(
        sandbox.rows("out/test_a.csv")[0]["finish_reason"],
        r#"'=HYPERLINK("http://x")"#
    );
}
