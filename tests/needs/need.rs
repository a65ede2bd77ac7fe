//! The needs of tests, and how they are met.

use crate::common::finish;
use libtest_mimic::Trial;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A thing that a test needs, and how to get it.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    name: &'static str,
    remedy: &'static str,
    is_met: fn() -> bool,
}

pub(crate) const CHROMIUM: Need = Need::new("chromium", "apt-get install chromium", || {
    on_path("chromium")
});
pub(crate) const PDFTOTEXT: Need = Need::new("pdftotext", "apt-get install poppler-utils", || {
    on_path("pdftotext")
});
pub(crate) const TMUX: Need = Need::new("tmux", "apt-get install tmux", || on_path("tmux"));
pub(crate) const PYTHON: Need =
    Need::new("python", "apt-get install python3 (3.10 or newer)", || {
        succeeds(
            "python3",
            &["-c", "import sys; sys.exit(sys.version_info < (3, 10))"],
        )
    });
pub(crate) const MOUNT: Need = Need::new("mount", "run as root, with CAP_SYS_ADMIN", may_mount);
pub(crate) const DOCKER: Need = Need::new(
    "docker",
    "apt-get install docker.io, and run as root, with CAP_SYS_ADMIN",
    || on_path("dockerd") && on_path("docker") && may_mount(),
);
pub(crate) const MODEL: Need = Need::new("model", "scripts/engines/install.sh model", || {
    engines().join("models/smollm2-hf/config.json").exists()
});
pub(crate) const LLAMACPP: Need =
    Need::new("llamacpp", "scripts/engines/install.sh llamacpp", || {
        installed("llama-server")
    });
pub(crate) const VLLM: Need = Need::new("vllm", "scripts/engines/install.sh vllm", || {
    installed("vllm")
});
pub(crate) const LMCACHE: Need = Need::new("lmcache", "scripts/engines/install.sh lmcache", || {
    installed("lmcache") && installed("lmcache_server")
});
pub(crate) const TRANSFORMERS: Need = Need::new(
    "transformers",
    "scripts/engines/install.sh transformers",
    || installed("transformers"),
);
pub(crate) const REDIS: Need = Need::new("redis", "scripts/engines/install.sh redis", || {
    on_path("redis-server") && on_path("redis-sentinel")
});
pub(crate) const GUIDELLM: Need =
    Need::new("guidellm", "scripts/engines/install.sh guidellm", || {
        engines().join("guidellm/bin/python").exists()
    });
pub(crate) const AIPERF: Need = Need::new("aiperf", "scripts/engines/install.sh aiperf", || {
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

pub(crate) fn tests() -> Vec<Trial> {
    vec![trial(missing_need_is_ignored_or_fails_if_required, &[])]
}

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

/// Checks that each requirement in the environment names a need: a misspelt one would require nothing.
pub(crate) fn check_requirements() {
    for (variable, _) in std::env::vars_os() {
        let variable = variable.to_string_lossy();
        let is_known = ALL.iter().any(|need| need.variable() == variable);
        assert!(
            is_known || !variable.starts_with("LMRUN_REQUIRE_"),
            "`{variable}` names no need of a test"
        );
    }
}

/// Returns a test with the name of its module and function. It is ignored if one of its needs is missing, and fails if
/// that need is required or the test is run with `--ignored`.
pub(crate) fn trial<F: FnOnce() + Send + 'static>(test: F, needs: &[Need]) -> Trial {
    let name = std::any::type_name::<F>()
        .split_once("::")
        .expect("a crate")
        .1;
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

/// The folder that `scripts/engines/install.sh` installs into.
pub(crate) fn engines() -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    std::env::var_os("LMRUN_ENGINES").map_or(home.join(".cache/lmrun-engines"), PathBuf::from)
}

fn missing_need_is_ignored_or_fails_if_required() {
    let this = std::env::current_exe().expect("this program");
    let test = "mounts::full_disk_ends_the_run_with_whole_rows";
    let run = |args: &[&str], required: &str| {
        let mut command = Command::new(&this);
        command
            .env("PATH", "/nowhere")
            .env("LMRUN_REQUIRE_MOUNT", required);
        finish(command.arg(test).args(args))
    };
    let ignored = run(&[], "0");
    ignored.assert_code(0);
    ignored.assert_stdout(&format!("[needs mount] {test} ... ignored"));
    ignored.assert_stdout("0 passed; 0 failed; 1 ignored");
    for failed in [run(&[], "1"), run(&["--ignored"], "0")] {
        failed.assert_code(101);
        let remedy = "missing: mount; help: run as root, with CAP_SYS_ADMIN";
        failed.assert_stdout(remedy);
    }
}
