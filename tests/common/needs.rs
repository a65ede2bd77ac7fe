//! Tests that need programs or rights that a machine may lack: a browser, a Docker daemon, a real engine.
//!
//! The built-in harness knows at compile time which tests it ignores. A test file with such tests has
//! `harness = false` in `Cargo.toml` instead, and a `main` that passes all its tests to [`run`]. A test
//! whose need is missing is reported as ignored; with `LMRUN_REQUIRE_<NEED>=1` it fails.

use super::engines;
use libtest_mimic::{Arguments, Trial};
use std::process::{Command, ExitCode, Stdio};

/// A thing that a test needs, and how to get it.
#[derive(Clone, Copy)]
pub struct Need {
    name: &'static str,
    remedy: &'static str,
    is_met: fn() -> bool,
}

pub const CHROMIUM: Need = Need::new("chromium", "apt-get install chromium", || {
    on_path("chromium")
});
pub const PDFTOTEXT: Need = Need::new("pdftotext", "apt-get install poppler-utils", || {
    on_path("pdftotext")
});
pub const TMUX: Need = Need::new("tmux", "apt-get install tmux", || on_path("tmux"));
pub const PYTHON: Need = Need::new("python", "apt-get install python3 (3.10 or newer)", || {
    succeeds(
        "python3",
        &["-c", "import sys; sys.exit(sys.version_info < (3, 10))"],
    )
});
pub const MOUNT: Need = Need::new("mount", "run as root, with CAP_SYS_ADMIN", may_mount);
pub const DOCKER: Need = Need::new(
    "docker",
    "apt-get install docker.io, and run as root, with CAP_SYS_ADMIN",
    || on_path("dockerd") && on_path("docker") && may_mount(),
);
pub const MODEL: Need = Need::new("model", "scripts/engines/install.sh model", || {
    engines().join("models/smollm2-hf/config.json").exists()
});
pub const LLAMACPP: Need = Need::new("llamacpp", "scripts/engines/install.sh llamacpp", || {
    installed("llama-server")
});
pub const VLLM: Need = Need::new("vllm", "scripts/engines/install.sh vllm", || {
    installed("vllm")
});
pub const LMCACHE: Need = Need::new("lmcache", "scripts/engines/install.sh lmcache", || {
    installed("lmcache") && installed("lmcache_server")
});
pub const TRANSFORMERS: Need = Need::new(
    "transformers",
    "scripts/engines/install.sh transformers",
    || installed("transformers"),
);
pub const REDIS: Need = Need::new("redis", "scripts/engines/install.sh redis", || {
    on_path("redis-server") && on_path("redis-sentinel")
});
pub const GUIDELLM: Need = Need::new("guidellm", "scripts/engines/install.sh guidellm", || {
    engines().join("guidellm/bin/python").exists()
});
pub const AIPERF: Need = Need::new("aiperf", "scripts/engines/install.sh aiperf", || {
    engines().join("aiperf/bin/python").exists()
});

const ALL: [Need; 14] = [
    TMUX,
    CHROMIUM,
    PDFTOTEXT,
    PYTHON,
    MOUNT,
    DOCKER,
    MODEL,
    LLAMACPP,
    VLLM,
    LMCACHE,
    TRANSFORMERS,
    REDIS,
    GUIDELLM,
    AIPERF,
];

impl Need {
    const fn new(name: &'static str, remedy: &'static str, is_met: fn() -> bool) -> Self {
        Self {
            name,
            remedy,
            is_met,
        }
    }

    /// The variable that makes the absence of this thing a failure.
    fn variable(&self) -> String {
        format!("LMRUN_REQUIRE_{}", self.name.to_uppercase())
    }

    fn is_required(&self) -> bool {
        std::env::var_os(self.variable()).is_some_and(|value| value != "0")
    }
}

/// Runs the tests of a file, as the built-in harness would.
pub fn run(tests: Vec<Trial>) -> ExitCode {
    run_with(&Arguments::from_args(), tests)
}

/// Runs the tests of a file one after another.
pub fn run_in_series(tests: Vec<Trial>) -> ExitCode {
    run_with(
        &Arguments {
            test_threads: Some(1),
            ..Arguments::from_args()
        },
        tests,
    )
}

fn run_with(arguments: &Arguments, tests: Vec<Trial>) -> ExitCode {
    for (variable, _) in std::env::vars_os() {
        let variable = variable.to_string_lossy();
        let is_known = ALL.iter().any(|need| need.variable() == variable);
        // A misspelt requirement would require nothing.
        assert!(
            is_known || !variable.starts_with("LMRUN_REQUIRE_"),
            "`{variable}` names no need of a test"
        );
    }
    libtest_mimic::run(arguments, tests).exit_code()
}

/// Returns a test with the name of its function. It is ignored if one of its needs is missing, and fails if
/// that need is required or the test is run with `--ignored`.
pub fn trial<F: FnOnce() + Send + 'static>(test: F, needs: &[Need]) -> Trial {
    let name = std::any::type_name::<F>()
        .rsplit("::")
        .next()
        .expect("a last part");
    let missing: Vec<Need> = needs
        .iter()
        .copied()
        .filter(|need| !(need.is_met)())
        .collect();
    if missing.is_empty() {
        return Trial::test(name, move || {
            test();
            Ok(())
        });
    }
    let names = missing
        .iter()
        .map(|need| need.name)
        .collect::<Vec<_>>()
        .join(", ");
    let remedies = missing
        .iter()
        .map(|need| need.remedy)
        .collect::<Vec<_>>()
        .join("; ");
    let failure = format!("missing: {names}; help: {remedies}");
    let trial = Trial::test(name, move || Err(failure.into()));
    if missing.iter().any(Need::is_required) {
        return trial;
    }
    trial
        .with_kind(format!("needs {names}"))
        .with_ignored_flag(true)
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Returns true if `scripts/engines/install.sh` has installed a program.
fn installed(program: &str) -> bool {
    engines().join("bin").join(program).is_file()
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Returns true if this user may mount a file system: it does so in a mount namespace that ends at once.
fn may_mount() -> bool {
    succeeds(
        "unshare",
        &["--mount", "mount", "-t", "tmpfs", "lmrun-test", "/mnt"],
    )
}
