//! `lmrun load`: what it says, and how it ends.
#![allow(missing_docs, reason = "a test file")]

mod common;

use common::{Ran, Sim, eventually, ran};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Command, Stdio};

fn load(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lmrun"));
    command.arg("load").args(args).env("NO_COLOR", "1").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> Ran {
    ran(&load(args).output().expect("lmrun"))
}

#[test]
fn a_signal_ends_it_in_order_and_keeps_the_rows() {
    let sim = Sim::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let rows = folder.path().join(signal.as_str()).display().to_string();
        let before = sim.requests();
        let args =
            ["--url", &sim.url(), "--rate", "20", "--requests", "2000", "--max-tokens", "2", "--rows", &rows];
        let child = load(&args).spawn().expect("lmrun");
        eventually("some requests came", || sim.requests() > before + 5);
        kill(Pid::from_raw(child.id() as i32), signal).expect("the signal");
        let run = ran(&child.wait_with_output().expect("its end"));
        assert_eq!(run.code, 130, "{signal}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("interrupted: giving up what is under way"), "{}", run.stderr);
        let rows = std::fs::read_to_string(&rows).expect("the rows");
        let rows = rows.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let (ok, failed): (Vec<_>, Vec<_>) = rows.partition(|row| row["ok"] == true);
        assert!(ok.len() > 3 && ok.len() + failed.len() == 2000, "{} and {}", ok.len(), failed.len());
        assert!(failed.iter().all(|row| row["error"] == "the run was interrupted"), "{failed:?}");
    }
}

#[test]
fn mistakes_are_named_as_they_were_written() {
    let silent = format!("http://127.0.0.1:{}", common::free_port());
    for (args, code, said) in [
        (
            &["--concurrency", "4", "--arrival", "poisson"][..],
            2,
            "'--concurrency <CONCURRENCY>' cannot be used with '--arrival <ARRIVAL>'",
        ),
        (
            &["--concurrency", "4", "--rate", "1"],
            2,
            "'--concurrency <CONCURRENCY>' cannot be used with '--rate <RATE>'",
        ),
        (&[], 2, "--rate <RATE>"),
        (&["--rate", "0"], 2, "`--rate` must be greater than zero"),
        (&["--concurrency", "0"], 2, "`--concurrency` must be at least one"),
        (&["--rate", "1", "--requests", "0"], 2, "`--requests` "),
        (&["--rate", "1", "--max-tokens", "0"], 2, "invalid value '0' for '--max-tokens <MAX_TOKENS>'"),
        (&["--rate", "1", "--api-key-env", "NO_SUCH_KEY"], 2, "`--api-key-env` "),
        (&["--rate", "1"], 3, "/v1/models cannot be reached: Connection refused"),
    ] {
        let run = run(&[&["--url", &silent], args].concat());
        assert_eq!(run.code, code, "{args:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(said), "{args:?}: {}", run.stderr);
    }
    let run = run(&["--url", "nowhere", "--rate", "1"]);
    assert!(run.code == 2 && run.stderr.contains("`--url`: `nowhere` is no address"), "{}", run.stderr);
}

#[test]
fn what_fails_is_counted_and_said() {
    let sim = Sim::start(&["--fault", "refuse=503/2"]);
    let run = run(&["--url", &sim.url(), "--concurrency", "2", "--requests", "8", "--max-tokens", "2"]);
    assert_eq!(run.code, 1, "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("warning: 4 × HTTP 503: refused on purpose"), "{}", run.stderr);
}
