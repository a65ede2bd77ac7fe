//! The log files of a process.
//!
//! It writes them itself: no pipe is between it and the disk, so that nothing which lmrun does or
//! fails to do can hold it up. What lmrun does is to keep a flooded log from filling the disk, and
//! to take secrets out at the end.

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

/// How often the size of a log is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A log that is longer than both together has its middle dropped.
const HEAD: u64 = 64 << 20;
const TAIL: u64 = 448 << 20;
/// What is dropped at the least: a hole has a price.
const STEP: u64 = 64 << 20;
/// The most characters of a line that are shown.
const MAX_CHARS: usize = 1000;

/// One log file, as far as one process has written it.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
    start: u64,
    dropped: Arc<AtomicU64>,
}

impl Log {
    /// Opens a log to be added to.
    ///
    /// # Errors
    /// Fails if it cannot be written, or if a link or a pipe has its name.
    pub fn open(path: &Path) -> Result<(Self, File)> {
        let file = files::open_own(path, OpenOptions::new().create(true).append(true))?;
        let start = file.metadata()?.len();
        Ok((
            Self {
                path: path.into(),
                start,
                dropped: Arc::default(),
            },
            file,
        ))
    }

    /// Its last `lines` lines, harmless on a terminal.
    pub fn tail(&self, lines: usize) -> String {
        const LOOKED_AT: u64 = 64 * 1024;
        let read = || -> Result<Vec<u8>> {
            let mut file = files::open(&self.path)?;
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(
                self.start.max(end.saturating_sub(LOOKED_AT)),
            ))?;
            let mut bytes = Vec::new();
            file.take(LOOKED_AT).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        last_lines(&read().unwrap_or_default(), lines)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Up to which byte its middle was dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Overwrites what nobody should read.
    pub fn remove_secrets(&self) {
        // A log that is gone has none.
        let _ = secrets::mask_known(&self.path, self.start);
    }

    /// Gives the disk back what lies between the first `head` and the last `tail` bytes. Where the
    /// file system cannot, the log stays whole.
    fn shorten(&self, head: u64, tail: u64, step: u64) -> Result<()> {
        let from = head.max(self.dropped());
        let to = self.path.metadata()?.len().saturating_sub(tail);
        if to < from + step {
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
pub struct Logs(pub [Log; 2]);

impl Logs {
    /// The end of standard error where there is any, else of standard output.
    pub fn tail(&self, lines: usize) -> String {
        let [stdout, stderr] = self.0.each_ref().map(|log| log.tail(lines));
        if stderr.is_empty() { stdout } else { stderr }
    }

    /// The last line, whichever way it was written.
    pub fn last_line(&self) -> Option<String> {
        let newest = self
            .0
            .iter()
            .max_by_key(|log| log.path.metadata().and_then(|m| m.modified()).ok())?;
        Some(newest.tail(1)).filter(|line| !line.is_empty())
    }

    /// Keeps them from filling the disk.
    pub async fn keep_short(&self) -> Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            for log in self.0.clone() {
                // A system that cannot make holes keeps the whole log.
                let _ = tokio::task::spawn_blocking(move || log.shorten(HEAD, TAIL, STEP)).await;
            }
        }
    }
}

fn last_lines(bytes: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    // Progress bars write over their line.
    let last_written = |line: &str| {
        line.trim_end()
            .rsplit('\r')
            .next()
            .map(printable)
            .unwrap_or_default()
    };
    let shown = text
        .lines()
        .map(last_written)
        .filter(|line| !line.trim().is_empty());
    let shown: Vec<String> = shown.map(line_end).collect();
    shown[shown.len().saturating_sub(lines)..].join("\n")
}

/// Returns the end of a long line, the whole of another.
fn line_end(line: String) -> String {
    if line.chars().count() <= MAX_CHARS {
        return line;
    }
    // A secret that is cut would not be recognized.
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
    fn of_a_line_that_was_written_over_the_last_is_seen() {
        assert_eq!(
            last_lines(b"a\nloading: 1 %\rloading: 100 %\r\n", 2),
            "a\nloading: 100 %"
        );
    }

    #[test]
    fn of_a_long_line_the_end_is_seen() {
        let long = format!("redis://user:word@host {}the end", "é".repeat(60_000));
        let shown = last_lines(format!("{long}\nshort").as_bytes(), 2);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines, [&format!("…{}the end", "é".repeat(993)), "short"]);
        let secret = format!("redis://user:word@host{}", "x".repeat(990));
        assert!(
            !last_lines(secret.as_bytes(), 1).contains("rd@host"),
            "a secret is cut after it is removed"
        );
    }

    #[test]
    fn a_long_log_keeps_its_two_ends() {
        let dir = tempfile::tempdir().expect("a folder");
        let (log, mut file) = Log::open(&dir.path().join("log")).expect("a log");
        let line = "x".repeat(4095) + "\n";
        file.write_all(line.repeat(1024).as_bytes())
            .expect("written");
        let blocks = || file.metadata().expect("its size").blocks();
        let before = blocks();
        log.shorten(64 << 10, 64 << 10, 4 << 20)
            .expect("too short to be worth it");
        assert_eq!((blocks(), log.dropped()), (before, 0));
        log.shorten(64 << 10, 64 << 10, 4 << 10)
            .expect("a file system with holes");
        assert!(
            blocks() * 512 < 256 << 10,
            "{} of {before} blocks are left",
            blocks()
        );
        writeln!(&file, "the end").expect("added to");
        let text = std::fs::read(dir.path().join("log")).expect("the log");
        assert_eq!(text.len(), 4 << 20 | 8);
        assert!(text.starts_with(line.as_bytes()) && log.tail(1) == "the end");
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_end_that_can_be_shown(bytes in prop::collection::vec(any::<u8>(), 0..600), lines in 0usize..5) {
            let shown = last_lines(&bytes, lines);
            prop_assert!(shown.lines().count() <= lines);
            prop_assert!(shown.chars().all(|c| !c.is_control() || "\t\n".contains(c)), "{shown:?}");
        }
    }
}
