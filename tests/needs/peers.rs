//! The comparison with other clients, `benches/peers`, with none of them installed.

use crate::common::{LMRUN, root};
use crate::need::{PYTHON, trial};
use libtest_mimic::Trial;
use std::process::{Command, Output};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial(unit_tests_of_the_comparison_pass, &[PYTHON]),
        trial(comparison_measures_lmrun, &[PYTHON]),
    ]
}

fn python(args: &[&str]) -> Output {
    let mut command = Command::new("python3");
    command
        .arg("-B")
        .args(args)
        .current_dir(root().join("benches/peers"))
        .output()
        .expect("python3")
}

fn unit_tests_of_the_comparison_pass() {
    let ran = python(&["-m", "unittest"]);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

fn comparison_measures_lmrun() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().display().to_string();
    let lmrun = LMRUN;
    let mut args = vec![
        "compare.py",
        "run",
        "lmrun",
        "--rates",
        "20",
        "--requests",
        "5",
        "--repeat",
        "1",
    ];
    args.extend(["--lmrun", lmrun, "--folder", &folder]);
    let ran = python(&args);
    let (table, log) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{table}{log}");
    let row = table
        .lines()
        .find(|line| line.starts_with("| lmrun"))
        .expect("its row");
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert_eq!((cells.len(), cells[2]), (11, "5"), "{table}");
    let start_s: f64 = cells[9].parse().expect("seconds");
    assert!(start_s > 0.0, "{table}");
}
