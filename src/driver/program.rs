//! Programs that are asked one question: which version are you?

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// Where a program is on the PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(program));
    candidates.find(|candidate| candidate.is_file())
}

/// What `argv` prints, whichever way; `None` when it does not end within `limit`, which kills it.
pub async fn output(argv: &[String], limit: Duration) -> Option<String> {
    let (program, words) = argv.split_first()?;
    let mut command = tokio::process::Command::new(program);
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(limit, command.output()).await.ok()?.ok()?;
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    Some(console::strip_ansi_codes(&format!("{stdout}\n{stderr}")).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_has_a_limit() {
        let argv = |script: &str| ["sh", "-c", script].map(String::from);
        let limit = Duration::from_millis(300);
        assert_eq!(output(&argv("echo 1; echo 2 >&2"), limit).await.as_deref(), Some("1\n\n2\n"));
        assert_eq!(output(&argv("sleep 60"), limit).await, None);
        assert!(find("sh").is_some() && find("no-such-program").is_none());
    }
}
