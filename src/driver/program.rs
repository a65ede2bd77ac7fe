//! Programs that are asked one question: which version are you?

use super::text::printable;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

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
    BufReader::new(File::open(program).ok()?).take(LONGEST_LINE).read_line(&mut line).ok()?;
    let words: Vec<String> = line.strip_prefix("#!")?.split_whitespace().map(str::to_owned).collect();
    words
        .iter()
        .any(|word| word.rsplit('/').next().is_some_and(|name| name.starts_with("python")))
        .then_some(words)
}

/// What a program printed, and whether it was content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// All of it, whichever way; harmless on a terminal.
    pub text: String,
    /// Whether it ended with 0.
    pub ok: bool,
}

/// What `argv` prints; `None` when it does not end within `limit`, which kills it.
pub async fn output(argv: &[String], limit: Duration) -> Option<Printed> {
    let (program, words) = argv.split_first()?;
    let mut command = tokio::process::Command::new(program);
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(limit, command.output()).await.ok()?.ok()?;
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let lines = stdout.lines().chain(stderr.lines()).map(printable);
    Some(Printed { text: lines.collect::<Vec<_>>().join("\n"), ok: output.status.success() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_script_names_its_python() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("program");
        let python_of = |text: &str| {
            std::fs::write(&path, text).expect("a program");
            super::python_of(&path)
        };
        let words = |line: &str| Some(line.split(' ').map(str::to_owned).collect());
        assert_eq!(python_of("#!/opt/venv/bin/python3.12\nimport sys\n"), words("/opt/venv/bin/python3.12"));
        assert_eq!(python_of("#!/usr/bin/env python3\n"), words("/usr/bin/env python3"));
        assert_eq!(python_of("#!/bin/sh\nexec python3\n"), None);
        assert_eq!(python_of("\u{7f}ELF"), None);
    }

    #[tokio::test]
    async fn a_question_has_a_limit() {
        let argv = |script: &str| ["sh", "-c", script].map(String::from);
        let limit = Duration::from_millis(300);
        let printed = |text: &str, ok| Some(Printed { text: text.into(), ok });
        assert_eq!(output(&argv("echo 1; echo 2 >&2"), limit).await, printed("1\n2", true));
        assert_eq!(output(&argv("printf '\\033]0;x\\a3'; exit 1"), limit).await, printed("3", false));
        assert_eq!(output(&argv("sleep 60"), limit).await, None);
        assert!(find("sh").is_some() && find("no-such-program").is_none());
    }
}
