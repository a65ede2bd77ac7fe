//! A folder and two ports for lmrun.

use super::{Finished, finish, free_port, running};
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder for scripts and outputs, and two free ports.
pub(crate) struct Sandbox {
    pub(crate) dir: TempDir,
    pub(crate) ports: [u16; 2],
}

/// The path of lmrun.
pub(crate) const LMRUN: &str = env!("CARGO_BIN_EXE_lmrun");

/// Returns a command that runs lmrun without color, and captures what it prints.
pub(crate) fn lmrun() -> Command {
    let mut command = Command::new(LMRUN);
    command
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a folder"),
            ports: [free_port(), free_port()],
        }
    }

    /// Creates a sandbox whose script `t.rhai` sends `requests` requests, one every `gap_s`.
    pub(crate) fn sending(requests: usize, gap_s: f64) -> Self {
        let script = r#"
            import "std/load" as load;
            import "std/sim" as sim;
            fn test_a() {
                let work = load::dummy(#{
                    requests: REQUESTS, gap_s: GAP_S, context_len: 20, max_tokens: 2,
                });
                run(work, [sim::engine(#{ flags: #{ "itl-s": 0.002, jitter: 0 } })], #{ warmup: 0 });
            }
            fn test_b() {}
        "#;
        let script = script
            .replace("REQUESTS", &requests.to_string())
            .replace("GAP_S", &format!("{gap_s:.3}"));
        Self::new().file("t.rhai", &script)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the text of a file.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a text file. An empty first line and common indentation are removed.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        let text = textwrap::dedent(text.strip_prefix('\n').unwrap_or(text));
        std::fs::write(path, text).expect("the file");
        self
    }

    /// Writes a shell script into `bin/`.
    pub(crate) fn program(self, name: &str, text: &str) -> Self {
        let name = format!("bin/{name}");
        let sandbox = self.file(&name, &format!("#!/bin/sh\n{text}\n"));
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(sandbox.path(&name), executable).expect("executable");
        sandbox
    }

    /// Returns the command `lmrun ARGS` in the folder.
    pub(crate) fn lmrun(&self, args: &[&str]) -> Command {
        let mut command = lmrun();
        command.current_dir(self.dir.path()).args(args);
        command
    }

    /// Returns the command `lmrun ARGS` in the folder and on its ports, with results in `out/`.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.lmrun(args);
        let [p1, p2] = self.ports.map(|port| port.to_string());
        command.args(["-o", "out", "-p", &p1, &p2]);
        // Tests beside this one may delay requests.
        command.args(["--max-send-lag-s", "10"]);
        // The results of `lmrun selfcheck` on this machine must not matter.
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    /// Like `command`, with the programs in `bin/` before all others.
    pub(crate) fn command_with_programs(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("LMRUN", LMRUN)
            .env("SANDBOX", self.dir.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Finished {
        finish(self.command(args))
    }

    /// Returns the rows of a CSV, by column name.
    pub(crate) fn rows(&self, csv: &str) -> Vec<HashMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.path(csv)).expect("the CSV");
        let rows: Result<_, _> = reader.deserialize().collect();
        rows.expect("rows")
    }

    /// Returns the number of lines of a file, 0 if there is none.
    pub(crate) fn lines(&self, name: &str) -> usize {
        std::fs::read_to_string(self.path(name)).map_or(0, |text| text.lines().count())
    }

    /// Returns the commands of engines that still run.
    pub(crate) fn left_running(&self) -> Vec<String> {
        self.ports
            .iter()
            .flat_map(|port| running(&format!("--port {port}")))
            .collect()
    }

    #[track_caller]
    pub(crate) fn assert_nothing_runs(&self) {
        assert_eq!(self.left_running(), Vec::<String>::new());
    }
}
