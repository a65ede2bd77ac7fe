//! The folder of results: results of an earlier run are never lost, and a folder has one writer.
#![allow(missing_docs, reason = "a test file")]

mod common;

use common::{Bench, Ran, eventually, ran};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SCRIPT: &str = r#"
import "std/load" as load;
import "std/sim" as sim;
fn test_one() {
    run(load::dummy(#{ requests: param("requests", 1), gap_s: param("gap_s", 0.0), context_len: 60, max_tokens: 2 }), [sim::engine()]);
}
"#;

fn bench() -> Bench {
    let typo = SCRIPT.replace("requests: param", "requets: param");
    Bench::new()
        .script("t.rhai", SCRIPT)
        .script("typo.rhai", &typo)
}

/// Returns the command without `-o`, so that the run makes its own folder.
fn without_output(bench: &Bench, args: &[&str]) -> Ran {
    let [p1, p2] = bench.ports.map(|port| port.to_string());
    let mut command = Command::new(env!("CARGO_BIN_EXE_lmrun"));
    command.current_dir(bench.dir.path()).args(args).args([
        "-p",
        &p1,
        &p2,
        "--max-send-lag-s",
        "10",
    ]);
    command
        .env("NO_COLOR", "1")
        .env("XDG_CACHE_HOME", bench.path("cache"))
        .stdin(Stdio::null());
    ran(&command.output().expect("lmrun runs"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry"));
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.retain(|name| !name.starts_with('.') && !name.contains("-std"));
    names.sort();
    names
}

fn text(bench: &Bench, file: &str) -> String {
    std::fs::read_to_string(bench.path(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

#[test]
fn a_script_that_fails_before_its_first_row_leaves_earlier_results() {
    let bench = bench();
    let first = bench.run(&["t.rhai"]);
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
    let files = ["out/test_one.csv", "out/test_one.manifest.json"];
    let before = files.map(|file| text(&bench, file));

    let typo = bench.run(&["typo.rhai"]);
    assert_eq!(typo.code, 1, "{}{}", typo.stdout, typo.stderr);
    assert_eq!(files.map(|file| text(&bench, file)), before);

    let _taken = TcpListener::bind(("127.0.0.1", bench.ports[0])).expect("the port");
    let conflict = bench.run(&["t.rhai"]);
    assert_eq!(conflict.code, 3, "{}{}", conflict.stdout, conflict.stderr);
    assert_eq!(files.map(|file| text(&bench, file)), before);
    assert!(
        !conflict.stdout.contains("test_one.csv\n"),
        "nothing was written: {}",
        conflict.stdout
    );
    let kept = "no request was measured: out/test_one.csv is of an earlier run";
    assert!(conflict.stderr.contains(kept), "{}", conflict.stderr);
}

#[test]
fn earlier_results_move_to_a_folder_of_their_own_with_their_reports() {
    let bench = bench();
    assert_eq!(bench.run(&["t.rhai"]).code, 0);
    let report = ran(&Command::new(env!("CARGO_BIN_EXE_lmrun"))
        .current_dir(bench.dir.path())
        .args(["report", "out"])
        .output()
        .expect("lmrun runs"));
    assert_eq!(report.code, 0, "{}", report.stderr);
    let results = [
        "report.html",
        "test_one.csv",
        "test_one.manifest.json",
        "test_one.pdf",
    ];
    assert_eq!(names(&bench.path("out")), results);
    let before = text(&bench, "out/test_one.csv");

    let second = bench.run(&["t.rhai"]);
    assert_eq!(second.code, 0, "{}{}", second.stdout, second.stderr);
    assert_eq!(
        names(&bench.path("out")),
        ["earlier", "test_one.csv", "test_one.manifest.json"]
    );
    let [run] = &names(&bench.path("out/earlier"))[..] else {
        panic!("one earlier run")
    };
    assert_eq!(names(&bench.path("out/earlier").join(run)), results);
    assert_eq!(
        text(&bench, &format!("out/earlier/{run}/test_one.csv")),
        before
    );
    assert!(
        second
            .stderr
            .contains("results of an earlier run moved to out/earlier/"),
        "{}",
        second.stderr
    );
}

#[test]
fn runs_without_an_output_folder_never_share_a_file() {
    let bench = bench();
    let models = ["acme/A", "acme/B"].map(|model| without_output(&bench, &["t.rhai", "-m", model]));
    assert!(
        models.iter().all(|run| run.code == 0),
        "{}{}",
        models[1].stdout,
        models[1].stderr
    );
    let typo = without_output(&bench, &["typo.rhai"]);
    assert_eq!(typo.code, 1, "{}", typo.stderr);

    let runs = names(&bench.path("outputs"));
    let [first, second, latest] = &runs[..] else {
        panic!("two runs and a link: {runs:?}")
    };
    assert!(first.contains("-t") && second.contains("-t"), "{runs:?}");
    assert_eq!(latest, "latest");
    let csv = |run: &str| text(&bench, &format!("outputs/{run}/test_one_acme.csv"));
    assert!(csv(first).contains(",acme/A,") && csv(second).contains(",acme/B,"));
    assert_eq!(csv(latest), csv(second));

    let read = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lmrun"));
        ran(&command
            .current_dir(bench.dir.path())
            .args(args)
            .output()
            .expect("lmrun runs"))
    };
    assert_eq!(
        read(&["report"]).stdout,
        "outputs/latest/test_one_acme.pdf\noutputs/latest/report.html\n"
    );
    let last = format!("outputs/{second}/report.html\n");
    assert!(
        read(&["report", "outputs/"]).stdout.ends_with(&last),
        "the last run of a folder of runs"
    );
    let moved = read(&["report", "outputs/test_one_acme.csv"]);
    assert!(
        moved
            .stderr
            .contains("did you mean `outputs/latest/test_one_acme.csv`?"),
        "{}",
        moved.stderr
    );
}

#[test]
fn a_second_run_in_the_same_folder_is_refused() {
    let bench = bench();
    let slow = ["t.rhai", "-P", "requests=100", "-P", "gap_s=0.2"];
    let mut first = bench.command(&slow).spawn().expect("lmrun runs");
    let csv: PathBuf = bench.path("out/test_one.csv");
    eventually("the first run has rows", || {
        std::fs::read_to_string(&csv).is_ok_and(|text| text.lines().count() > 2)
    });
    let second = bench.run(&["t.rhai"]);
    assert_eq!(second.code, 2, "{}{}", second.stdout, second.stderr);
    let expected = format!(
        "error: cannot write to the output folder `out`: another lmrun writes there (process {} on ",
        first.id()
    );
    assert!(second.stderr.starts_with(&expected), "{}", second.stderr);
    assert!(
        second.stderr.contains("choose another with `-o DIR`"),
        "{}",
        second.stderr
    );
    kill(Pid::from_raw(first.id() as i32), Signal::SIGINT).expect("interrupted");
    assert_eq!(first.wait().expect("its end").code(), Some(130));
    assert!(
        bench.rows("out/test_one.csv").len() > 1,
        "the first run's rows are whole"
    );
    assert_eq!(bench.run(&["t.rhai"]).code, 0, "the folder is free again");
}

#[test]
fn a_result_cannot_be_its_own_baseline() {
    let script = format!(
        "import \"std/results\" as results;\nimport \"std/check\" as check;\n{}",
        SCRIPT.replace(
            "[sim::engine()]);",
            "[sim::engine()]);\n    let before = results::read(param(\"baseline\", \"\"));\n    check::equal(before.count, 1, \"rows\");"
        )
    );
    let bench = Bench::new().script("t.rhai", &script);
    let own = bench.run(&["t.rhai", "-P", "baseline=out/test_one.csv"]);
    assert_eq!(own.code, 1, "{}{}", own.stdout, own.stderr);
    let expected = "out/test_one.csv is a result of this run: it cannot be its own baseline";
    assert!(own.stderr.contains(expected), "{}", own.stderr);

    std::fs::rename(bench.path("out"), bench.path("yesterday")).expect("renamed");
    let other = bench.run(&["t.rhai", "-P", "baseline=yesterday/test_one.csv"]);
    assert_eq!(other.code, 0, "{}{}", other.stdout, other.stderr);
}
