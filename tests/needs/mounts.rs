//! Tests that mount: a full disk, and a `/proc` that is missing.

use crate::common::{LMRUN, Sandbox, finish};
use crate::need::{MOUNT, trial};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial(full_disk_ends_the_run_with_whole_rows, &[MOUNT]),
        trial(missing_proc_is_refused, &[MOUNT]),
    ]
}

/// A small file system of its own at a path, as long as this lives.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(path: &Path, size: &str) -> Self {
        std::fs::create_dir_all(path).expect("a folder");
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "lmrun-test"])
            .arg(path)
            .status();
        assert!(mounted.expect("mount").success());
        Self(path.into())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn full_disk_ends_the_run_with_whole_rows() {
    let sandbox = Sandbox::sending(400, 0.01);
    let _disk = Tmpfs::mount(&sandbox.path("out"), "64k");
    let run = sandbox.run(&["t.rhai", "--log-dir", "logs"]);
    run.assert_code(5);
    let said =
        "cannot write out/test_a.csv: No space left on device (os error 28); the run ends here";
    run.assert_stderr(said);
    let text = sandbox.read("out/test_a.csv");
    assert!(
        text.ends_with('\n'),
        "half a row: {}",
        &text[text.len().saturating_sub(200)..]
    );
    let rows = sandbox.rows("out/test_a.csv"); // each of them can be read
    let manifest = sandbox.read("out/test_a.manifest.json");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("a whole manifest");
    assert_ne!(manifest["outcome"]["code"], 130, "nobody interrupted it");
    assert!(
        rows.len() > 20 && rows.iter().all(|row| row["status"] == "ok"),
        "{} rows",
        rows.len()
    );
    sandbox.assert_nothing_runs();
}

fn missing_proc_is_refused() {
    let sandbox = Sandbox::sending(1, 0.0);
    let lmrun = LMRUN;
    for (surroundings, mount) in [("-m", "umount -l /proc; "), ("-pf", "")] {
        for verb in ["t.rhai -o out", "-e 1+1", "doctor", "selfcheck"] {
            let script = format!("{mount}exec {lmrun} {verb}");
            let mut command = Command::new("unshare");
            command
                .current_dir(sandbox.dir.path())
                .args([surroundings, "sh", "-c", &script]);
            let run = finish(&mut command);
            assert_eq!(
                run.code, 2,
                "{surroundings} {verb}: {}{}",
                run.stdout, run.stderr
            );
            run.assert_stderr("/proc is not mounted, or belongs to another PID namespace");
        }
    }
    assert!(!sandbox.path("out").exists());
}
