//! Programs that have ended.

use std::process::{Child, Command, Output};

/// The exit code of a program, and what it printed.
pub(crate) struct Finished {
    /// -1 if a signal killed the program.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: impl std::borrow::BorrowMut<Command>) -> Finished {
    command
        .borrow_mut()
        .output()
        .expect("the program starts")
        .into()
}

/// Waits for the end of a program.
pub(crate) fn wait(child: Child) -> Finished {
    child.wait_with_output().expect("the program ends").into()
}

impl Finished {
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
    }

    /// Asserts that standard output contains a text.
    #[track_caller]
    pub(crate) fn assert_stdout(&self, text: &str) {
        assert!(self.stdout.contains(text), "no `{text}` in {}", self.stdout);
    }

    /// Asserts that standard error contains a text.
    #[track_caller]
    pub(crate) fn assert_stderr(&self, text: &str) {
        assert!(self.stderr.contains(text), "no `{text}` in {}", self.stderr);
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
