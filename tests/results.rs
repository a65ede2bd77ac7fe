//! The folder of results: results of an earlier run are never lost, and a folder has one writer.

use crate::common::{Finished, Sandbox, eventually, finish, lmrun};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const SCRIPT: &str = r#"
import "std/load" as load;
import "std/sim" as sim;
fn test_one() {
    run(load::dummy(#{ requests: param("requests", 1), gap_s: param("gap_s", 0.0), context_len: 60, max_tokens: 2 }), [sim::engine()]);
}
"#;

fn sandbox() -> Sandbox {
    let typo = SCRIPT.replace("requests: param", "requets: param");
    Sandbox::new()
        .file("t.rhai", SCRIPT)
        .file("typo.rhai", &typo)
}

/// Returns the command without `-o`, so that the run makes its own folder.
fn without_output(sandbox: &Sandbox, args: &[&str]) -> Finished {
    let [p1, p2] = sandbox.ports.map(|port| port.to_string());
    let mut command = lmrun();
    command.current_dir(sandbox.dir.path()).args(args).args([
        "-p",
        &p1,
        &p2,
        "--max-send-lag-s",
        "10",
    ]);
    command
        .env("NO_COLOR", "1")
        .env("XDG_CACHE_HOME", sandbox.path("cache"))
        .stdin(Stdio::null());
    finish(&mut command)
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

fn text(sandbox: &Sandbox, file: &str) -> String {
    std::fs::read_to_string(sandbox.path(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

#[test]
fn failed_run_without_rows_keeps_earlier_results() {
    let sandbox = sandbox();
    let first = sandbox.run(&["t.rhai"]);
    first.assert_code(0);
    let files = ["out/test_one.csv", "out/test_one.manifest.json"];
    let before = files.map(|file| text(&sandbox, file));

    let typo = sandbox.run(&["typo.rhai"]);
    typo.assert_code(1);
    assert_eq!(files.map(|file| text(&sandbox, file)), before);

    let _taken = TcpListener::bind(("127.0.0.1", sandbox.ports[0])).expect("the port");
    let conflict = sandbox.run(&["t.rhai"]);
    conflict.assert_code(3);
    assert_eq!(files.map(|file| text(&sandbox, file)), before);
    assert!(
        !conflict.stdout.contains("test_one.csv\n"),
        "nothing was written: {}",
        conflict.stdout
    );
    let kept = "no request was measured: out/test_one.csv is of an earlier run";
    conflict.assert_stderr(kept);
}

#[test]
fn earlier_results_move_aside_with_their_reports() {
    let sandbox = sandbox();
    assert_eq!(sandbox.run(&["t.rhai"]).code, 0);
    let report = finish(
        lmrun()
            .current_dir(sandbox.dir.path())
            .args(["report", "out"]),
    );
    report.assert_code(0);
    let results = [
        "report.html",
        "test_one.csv",
        "test_one.manifest.json",
        "test_one.pdf",
    ];
    assert_eq!(names(&sandbox.path("out")), results);
    let before = text(&sandbox, "out/test_one.csv");

    let second = sandbox.run(&["t.rhai"]);
    second.assert_code(0);
    assert_eq!(
        names(&sandbox.path("out")),
        ["earlier", "test_one.csv", "test_one.manifest.json"]
    );
    let [run] = &names(&sandbox.path("out/earlier"))[..] else {
        panic!("one earlier run")
    };
    assert_eq!(names(&sandbox.path("out/earlier").join(run)), results);
    assert_eq!(
        text(&sandbox, &format!("out/earlier/{run}/test_one.csv")),
        before
    );
    second.assert_stderr("results of an earlier run moved to out/earlier/");
}

#[test]
fn default_output_folders_are_not_shared() {
    let sandbox = sandbox();
    let models =
        ["acme/A", "acme/B"].map(|model| without_output(&sandbox, &["t.rhai", "-m", model]));
    assert!(
        models.iter().all(|run| run.code == 0),
        "{}{}",
        models[1].stdout,
        models[1].stderr
    );
    let typo = without_output(&sandbox, &["typo.rhai"]);
    typo.assert_code(1);

    let runs = names(&sandbox.path("outputs"));
    let [first, second, latest] = &runs[..] else {
        panic!("two runs and a link: {runs:?}")
    };
    assert!(first.contains("-t") && second.contains("-t"), "{runs:?}");
    assert_eq!(latest, "latest");
    let csv = |run: &str| text(&sandbox, &format!("outputs/{run}/test_one_acme.csv"));
    assert!(csv(first).contains(",acme/A,") && csv(second).contains(",acme/B,"));
    assert_eq!(csv(latest), csv(second));

    let read = |args: &[&str]| {
        let mut command = lmrun();
        finish(command.current_dir(sandbox.dir.path()).args(args))
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
    moved.assert_stderr("did you mean `outputs/latest/test_one_acme.csv`?");
}

#[test]
fn second_run_in_the_same_folder_is_refused() {
    let sandbox = sandbox();
    let slow = ["t.rhai", "-P", "requests=100", "-P", "gap_s=0.2"];
    let mut first = sandbox.command(&slow).spawn().expect("lmrun runs");
    let csv: PathBuf = sandbox.path("out/test_one.csv");
    eventually("the first run has rows", || {
        std::fs::read_to_string(&csv).is_ok_and(|text| text.lines().count() > 2)
    });
    let second = sandbox.run(&["t.rhai"]);
    second.assert_code(2);
    let expected = format!(
        "error: cannot write to the output folder `out`: another lmrun writes there (process {} on ",
        first.id()
    );
    assert!(second.stderr.starts_with(&expected), "{}", second.stderr);
    second.assert_stderr("choose another with `-o DIR`");
    kill(Pid::from_raw(first.id() as i32), Signal::SIGINT).expect("interrupted");
    assert_eq!(first.wait().expect("its end").code(), Some(130));
    assert!(
        sandbox.rows("out/test_one.csv").len() > 1,
        "the first run's rows are whole"
    );
    assert_eq!(sandbox.run(&["t.rhai"]).code, 0, "the folder is free again");
}

#[test]
fn result_is_refused_as_its_own_baseline() {
    let script = format!(
        "import \"std/results\" as results;\nimport \"std/check\" as check;\n{}",
        SCRIPT.replace(
            "[sim::engine()]);",
            "[sim::engine()]);\n    let before = results::read(param(\"baseline\", \"\"));\n    check::equal(before.count, 1, \"rows\");"
        )
    );
    let sandbox = Sandbox::new().file("t.rhai", &script);
    let own = sandbox.run(&["t.rhai", "-P", "baseline=out/test_one.csv"]);
    own.assert_code(1);
    let expected = "out/test_one.csv is a result of this run and cannot be its own baseline";
    own.assert_stderr(expected);

    std::fs::rename(sandbox.path("out"), sandbox.path("yesterday")).expect("renamed");
    let other = sandbox.run(&["t.rhai", "-P", "baseline=yesterday/test_one.csv"]);
    other.assert_code(0);
}
