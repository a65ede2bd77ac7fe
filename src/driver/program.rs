//! Programs that are run for their output, such as their version.

use super::spawn;
use super::text::printable;
use super::watchdog::{ProgramSpec, Watchdogs, WatchedProgram};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The time within which a program and all processes that come from it must exit after the kill.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of bytes that are kept of each output stream.
const MAX_OUTPUT: usize = 64 << 10;
/// The maximum length of a first line that names an interpreter, bytes.
const MAX_FIRST_LINE: u64 = 512;

/// Returns the path of a program on the PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Returns the command of the Python interpreter that the first line of `program` names.
pub(crate) fn python_of(program: &Path) -> Option<Vec<String>> {
    let mut line = String::new();
    BufReader::new(File::open(program).ok()?)
        .take(MAX_FIRST_LINE)
        .read_line(&mut line)
        .ok()?;
    let words: Vec<String> = line
        .strip_prefix("#!")?
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    words
        .iter()
        .any(|word| file_name(word).starts_with("python"))
        .then_some(words)
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The output of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramOutput {
    /// The start of standard output, then that of standard error; safe to print.
    pub text: String,
    /// True if the program exited with code 0.
    pub success: bool,
}

/// Runs `argv` until it exits or has printed too much, then kills all processes that come from it.
/// Returns `None` if it does not start, or if it is still running after `limit`.
pub async fn output(
    argv: &[String],
    watchdogs: &Watchdogs,
    limit: Duration,
) -> Option<ProgramOutput> {
    let program = ProgramSpec {
        argv: argv.to_vec(),
        env: BTreeMap::new(),
        unset: Vec::new(),
    };
    let WatchedProgram {
        leash, mut reports, ..
    } = watchdogs
        .start(program, Stdio::piped(), Stdio::piped())
        .await
        .ok()?;
    let mut stdout = CapturedPipe::new(reports.child.stdout.take()?);
    let mut stderr = CapturedPipe::new(reports.child.stderr.take()?);
    let success = tokio::select! {
        status = reports.exit_status() => Some(status.is_some_and(|status| status.success())),
        () = stdout.fill() => Some(false),
        () = stderr.fill() => Some(false),
        () = tokio::time::sleep(limit) => None,
    };
    drop(leash);
    let rest = async {
        spawn::reap(reports.child).await;
        // The pipes are closed when all processes have exited.
        stdout.read_rest().await;
        stderr.read_rest().await;
    };
    let _ = tokio::time::timeout(KILL_TIMEOUT, rest).await; // processes stuck in the kernel remain
    let lines: Vec<String> = [stdout.text(), stderr.text()]
        .iter()
        .flat_map(|text| text.lines())
        .map(printable)
        .collect();
    Some(ProgramOutput {
        text: lines.join("\n"),
        success: success?,
    })
}

/// An output stream of a program, of which the first [`MAX_OUTPUT`] bytes are kept.
struct CapturedPipe<R> {
    pipe: R,
    bytes: Vec<u8>,
}

impl<R: AsyncRead + Unpin> CapturedPipe<R> {
    fn new(pipe: R) -> Self {
        Self {
            pipe,
            bytes: Vec::new(),
        }
    }

    /// Reads until the maximum is reached. Does not return at the end of the pipe, as the program
    /// may still run.
    async fn fill(&mut self) {
        while self.bytes.len() < MAX_OUTPUT {
            if !matches!(self.pipe.read_buf(&mut self.bytes).await, Ok(1..)) {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Reads until the maximum is reached, or to the end of the pipe.
    async fn read_rest(&mut self) {
        let room = MAX_OUTPUT.saturating_sub(self.bytes.len()) as u64;
        let _ = (&mut self.pipe)
            .take(room)
            .read_to_end(&mut self.bytes)
            .await; // after an error, keep what was read
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_of_reads_the_first_line_of_a_script() {
        for (text, python) in [
            (
                "#!/opt/venv/bin/python3.12\nimport sys\n",
                Some("/opt/venv/bin/python3.12"),
            ),
            ("#!/usr/bin/env python3\n", Some("/usr/bin/env python3")),
            ("#!/bin/sh\nexec python3\n", None),
            ("\u{7f}ELF", None),
        ] {
            let dir = tempfile::tempdir().expect("a folder");
            let path = dir.path().join("program");
            std::fs::write(&path, text).expect("a program");
            let words = python_of(&path);
            assert_eq!(words.map(|words| words.join(" ")).as_deref(), python);
        }
    }
}
