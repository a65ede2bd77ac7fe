//! The comparison with other clients, `benches/peers`, with none of them installed. It takes a Python
//! of 3.10 or newer; without, these tests say so and pass.
#![allow(missing_docs, reason = "a test file")]

mod common;

use common::root;
use std::process::{Command, Output};

fn python(args: &[&str]) -> Option<Output> {
    let run = |args: &[&str]| {
        Command::new("python3").args(["-B"]).args(args).current_dir(root().join("benches/peers")).output()
    };
    let new_enough = run(&["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]);
    if new_enough.is_ok_and(|ran| ran.status.success()) {
        return Some(run(args).expect("it has just run"));
    }
    eprintln!("skipped: there is no python3 of 3.10 or newer");
    None
}

#[test]
fn its_own_tests_pass() {
    let Some(ran) = python(&["-m", "unittest"]) else { return };
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn lmrun_itself_is_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().display().to_string();
    let lmrun = env!("CARGO_BIN_EXE_lmrun");
    let mut args = vec!["compare.py", "run", "lmrun", "--rates", "20", "--requests", "5", "--repeat", "1"];
    args.extend(["--lmrun", lmrun, "--folder", &folder]);
    let Some(ran) = python(&args) else { return };
    let (table, log) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{table}{log}");
    let row = table.lines().find(|line| line.starts_with("| lmrun")).expect("its row");
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert_eq!((cells.len(), cells[2]), (11, "5"), "{table}");
    let start_s: f64 = cells[9].parse().expect("seconds");
    assert!(start_s > 0.0, "{table}");
}
