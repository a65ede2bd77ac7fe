//! Programs that are asked one question: which version are you?

use super::starter;
use super::text::printable;
use super::watchdog::{Program, Watchdogs, Watched};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The time within which a program and all that came from it must end once they are killed.
const END: Duration = Duration::from_secs(10);
/// Bytes of each stream of a program that are kept.
const LONGEST_OUTPUT: usize = 64 << 10;
/// A longer first line names no interpreter.
const LONGEST_LINE: u64 = 512;

/// Where a program is on the PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(program));
    candidates.find(|candidate| candidate.is_file())
}

/// The Python that runs the script `program`, as its first line names it.
pub fn python_of(program: &Path) -> Option<Vec<String>> {
    let mut line = String::new();
    BufReader::new(File::open(program).ok()?)
        .take(LONGEST_LINE)
        .read_line(&mut line)
        .ok()?;
    let words: Vec<String> = line
        .strip_prefix("#!")?
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    words
        .iter()
        .any(|word| {
            word.rsplit('/')
                .next()
                .is_some_and(|name| name.starts_with("python"))
        })
        .then_some(words)
}

/// What a program printed, and whether it was content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Its output and then its errors, the first `LONGEST_OUTPUT` bytes of each; harmless on a terminal.
    pub text: String,
    /// Whether it ended with 0.
    pub ok: bool,
}

/// Runs `argv` until it ends or has printed more than is kept, and ends all that came from it. Returns `None` if
/// it does not start, or does neither within `limit`.
pub async fn output(argv: &[String], watchdogs: &Watchdogs, limit: Duration) -> Option<Printed> {
    let program = Program {
        argv: argv.to_vec(),
        env: BTreeMap::new(),
        unset: Vec::new(),
    };
    let Watched {
        leash, mut reports, ..
    } = watchdogs
        .start(program, Stdio::piped(), Stdio::piped())
        .await
        .ok()?;
    let (mut stdout, mut stderr) = (reports.child.stdout.take()?, reports.child.stderr.take()?);
    let (mut printed, mut complained) = (Vec::new(), Vec::new());
    let ok = tokio::select! {
        status = reports.ended() => Some(status.is_some_and(|status| status.success())),
        () = read_too_much(&mut stdout, &mut printed) => Some(false),
        () = read_too_much(&mut stderr, &mut complained) => Some(false),
        () = tokio::time::sleep(limit) => None,
    };
    drop(leash);
    let rest = async {
        starter::collect(reports.child).await;
        // Once all of them have ended, the pipes are closed.
        read_rest(stdout, &mut printed).await;
        read_rest(stderr, &mut complained).await;
    };
    let _ = tokio::time::timeout(END, rest).await; // a program that does not end is not waited for
    let [stdout, stderr] = [&printed, &complained].map(|bytes| String::from_utf8_lossy(bytes));
    let lines = stdout.lines().chain(stderr.lines()).map(printable);
    Some(Printed {
        text: lines.collect::<Vec<_>>().join("\n"),
        ok: ok?,
    })
}

/// Reads until `into` is full; does not return at the end of `from`, as the program may still run.
async fn read_too_much(mut from: impl AsyncRead + Unpin, into: &mut Vec<u8>) {
    while into.len() < LONGEST_OUTPUT {
        if !matches!(from.read_buf(into).await, Ok(1..)) {
            std::future::pending::<()>().await;
        }
    }
}

/// Reads until `into` is full, or to the end of `from`.
async fn read_rest(from: impl AsyncRead + Unpin, into: &mut Vec<u8>) {
    let room = LONGEST_OUTPUT.saturating_sub(into.len()) as u64;
    let _ = from.take(room).read_to_end(into).await; // what was read is what there is
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_first_line_of_a_script_names_its_python() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("program");
        let python_of = |text: &str| {
            std::fs::write(&path, text).expect("a program");
            super::python_of(&path)
        };
        let words = |line: &str| Some(line.split(' ').map(str::to_owned).collect());
        assert_eq!(
            python_of("#!/opt/venv/bin/python3.12\nimport sys\n"),
            words("/opt/venv/bin/python3.12")
        );
        assert_eq!(
            python_of("#!/usr/bin/env python3\n"),
            words("/usr/bin/env python3")
        );
        assert_eq!(python_of("#!/bin/sh\nexec python3\n"), None);
        assert_eq!(python_of("\u{7f}ELF"), None);
    }
}
