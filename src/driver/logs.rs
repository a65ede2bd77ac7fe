//! The log files of a process.
//!
//! The process writes them itself: without a pipe through lmrun, lmrun cannot delay it. lmrun only
//! limits their size on the disk, and overwrites secrets in them at the end.

use super::text::printable;
use super::{files, secrets};
use nix::fcntl::{FallocateFlags, fallocate};
use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{Read, Result, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The interval at which the size of a log is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The number of bytes that is kept, and that must be dropped at once: a hole has a cost.
const LIMITS: SizeLimits = SizeLimits {
    head: 64 << 20,
    tail: 448 << 20,
    step: 64 << 20,
};
/// The maximum number of characters of a line that is shown.
const MAX_CHARS: usize = 1000;
/// The number of bytes at the end of a log that are searched for its last lines.
const TAIL_BYTES: u64 = 64 << 10;

/// The size of a log, bytes.
#[derive(Clone, Copy)]
struct SizeLimits {
    /// Kept at the start.
    head: u64,
    /// Kept at the end.
    tail: u64,
    /// The least that is dropped at a time.
    step: u64,
}

/// One log file, from the place where one process began to write it.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
    start: u64,
    dropped: Arc<AtomicU64>,
}

impl LogFile {
    /// Opens a log to append to it.
    ///
    /// # Errors
    /// Fails if it cannot be written, or if it is a link or a pipe.
    pub(crate) fn open(path: &Path) -> Result<(Self, File)> {
        let file = files::open_own(path, OpenOptions::new().create(true).append(true))?;
        let start = file.metadata()?.len();
        let log = Self {
            path: path.into(),
            start,
            dropped: Arc::default(),
        };
        Ok((log, file))
    }

    /// Returns its last `lines` lines, safe to print. A log that cannot be read has none.
    pub(crate) fn tail(&self, lines: usize) -> String {
        last_lines(&self.end().unwrap_or_default(), lines)
    }

    fn end(&self) -> Result<Vec<u8>> {
        let mut file = files::open(&self.path)?;
        let end = file.metadata()?.len();
        let from = self.start.max(end.saturating_sub(TAIL_BYTES));
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the end of its dropped middle, in bytes from the start; 0 if nothing was dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Overwrites known secrets in it.
    fn remove_secrets(&self) {
        // A removed log contains none.
        let _ = secrets::mask_file(&self.path, self.start);
    }

    /// Frees the disk space between the first `head` and the last `tail` bytes. On a file system
    /// without holes the log stays whole.
    fn shorten(&self, limits: SizeLimits) -> Result<()> {
        let from = limits.head.max(self.dropped());
        let to = self.path.metadata()?.len().saturating_sub(limits.tail);
        if to < from + limits.step {
            return Ok(());
        }
        let file = files::open_own(&self.path, OpenOptions::new().write(true))?;
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        fallocate(file, hole, from as i64, (to - from) as i64)?;
        self.dropped.store(to, Relaxed);
        Ok(())
    }
}

/// The two logs of a process: standard output, standard error.
#[derive(Clone, Debug)]
pub struct Logs(pub(crate) [LogFile; 2]);

impl Logs {
    /// Returns the last lines of standard error, or of standard output if standard error is empty.
    pub fn tail(&self, lines: usize) -> String {
        let [stdout, stderr] = self.0.each_ref().map(|log| log.tail(lines));
        if stderr.is_empty() { stdout } else { stderr }
    }

    /// Returns the last line of the log that was written last.
    pub fn last_line(&self) -> Option<String> {
        let newest = self
            .0
            .iter()
            .max_by_key(|log| log.path.metadata().and_then(|m| m.modified()).ok())?;
        Some(newest.tail(1)).filter(|line| !line.is_empty())
    }

    /// Overwrites known secrets in both.
    pub(super) async fn remove_secrets(&self) {
        let logs = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            for log in &logs.0 {
                log.remove_secrets();
            }
        });
        let _ = work.await; // fails only if the runtime shuts down
    }

    /// Limits the size of both, forever.
    pub(super) async fn keep_short(&self) -> Infallible {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            for log in self.0.clone() {
                // A file system without holes keeps the whole log.
                let _ = tokio::task::spawn_blocking(move || log.shorten(LIMITS)).await;
            }
        }
    }
}

fn last_lines(bytes: &[u8], lines: usize) -> String {
    let shown: Vec<String> = String::from_utf8_lossy(bytes)
        .lines()
        .map(last_written)
        .filter(|line| !line.trim().is_empty())
        .map(line_end)
        .collect();
    shown[shown.len().saturating_sub(lines)..].join("\n")
}

/// Returns the text after the last carriage return: progress bars overwrite their line.
fn last_written(line: &str) -> String {
    let line = line.trim_end();
    let (_, last) = line.rsplit_once('\r').unwrap_or(("", line));
    printable(last)
}

/// Returns the end of a long line, and a shorter one unchanged.
fn line_end(line: String) -> String {
    if line.chars().count() <= MAX_CHARS {
        return line;
    }
    // Before the cut: a part of a secret would not be recognized.
    let line = secrets::scrub(&line);
    match line.char_indices().nth_back(MAX_CHARS - 1) {
        Some((start, _)) if start > 0 => format!("…{}", &line[start..]),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn last_lines_shows_what_a_progress_bar_wrote_last() {
        assert_eq!(
            last_lines(b"a\nloading: 1 %\rloading: 100 %\r\n", 2),
            "a\nloading: 100 %"
        );
    }

    #[test]
    fn last_lines_shows_the_end_of_a_long_line() {
        let long = format!("redis://user:word@host {}the end", "é".repeat(60_000));
        let shown = last_lines(format!("{long}\nshort").as_bytes(), 2);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines, [&format!("…{}the end", "é".repeat(993)), "short"]);
        let secret = format!("redis://user:word@host{}", "x".repeat(990));
        assert!(
            !last_lines(secret.as_bytes(), 1).contains("rd@host"),
            "secrets are removed before the cut"
        );
    }

    #[test]
    fn shorten_keeps_the_start_and_the_end_of_a_log() {
        let dir = tempfile::tempdir().expect("a folder");
        let (log, mut file) = LogFile::open(&dir.path().join("log")).expect("a log");
        let line = "x".repeat(4095) + "\n";
        file.write_all(line.repeat(1024).as_bytes())
            .expect("written");
        let before = blocks(&file);
        let limits = SizeLimits {
            head: 64 << 10,
            tail: 64 << 10,
            step: 4 << 20,
        };
        log.shorten(limits).expect("less than a step");
        assert_eq!((blocks(&file), log.dropped()), (before, 0));
        let limits = SizeLimits {
            step: 4 << 10,
            ..limits
        };
        log.shorten(limits).expect("a file system with holes");
        let after = blocks(&file);
        assert!(
            after * 512 < 256 << 10,
            "{after} of {before} blocks are left"
        );
        writeln!(&file, "the end").expect("appended");
        let text = std::fs::read(dir.path().join("log")).expect("the log");
        assert_eq!(text.len(), 4 << 20 | 8);
        assert!(text.starts_with(line.as_bytes()) && log.tail(1) == "the end");
    }

    fn blocks(file: &File) -> u64 {
        file.metadata().expect("its size").blocks()
    }

    proptest! {
        #[test]
        fn any_bytes_have_printable_last_lines(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            lines in 0usize..5,
        ) {
            let shown = last_lines(&bytes, lines);
            prop_assert!(shown.lines().count() <= lines);
            prop_assert!(
                shown.chars().all(|c| !c.is_control() || "\t\n".contains(c)),
                "{shown:?}"
            );
        }
    }
}
