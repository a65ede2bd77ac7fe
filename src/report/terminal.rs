//! The thread that writes texts for people. A terminal may take nothing for hours (Ctrl-S, a pager, a lost
//! connection): that delays this thread only, and neither rows nor the run.

use super::live::Region;
use console::Term;
use std::io::{Result, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The bytes of notes that may wait for the terminal; further notes are counted, not kept.
const WAITING_NOTES: usize = 1 << 20;
/// The time for which the end of a run waits for a terminal or a pipe that takes nothing.
const PATIENCE: Duration = Duration::from_mins(10);
/// The time for which the end of an interrupted run waits.
const PATIENCE_INTERRUPTED: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// Something to write.
enum Piece {
    /// A text for standard output; always written.
    Result(String),
    /// A text for standard error; always written.
    Warning(String),
    /// A text for standard error; dropped if too much waits.
    Note(String),
    /// The lines in place.
    Frame(Vec<String>),
    /// Lends the terminal to the prompt, or takes it back.
    Lend(Option<SyncSender<String>>),
    /// Sends a message when everything before it is written.
    Flush(Sender<()>),
}

/// The progress of the thread.
#[derive(Default)]
struct Progress {
    pieces: AtomicUsize,
    note_bytes: AtomicUsize,
    dropped_notes: AtomicUsize,
    done: AtomicU64,
}

/// The queue to the terminal. Dropping it waits until everything is written, as long as something is taken.
pub struct Terminal {
    pieces: Option<Sender<Piece>>,
    progress: Arc<Progress>,
    ended: Receiver<()>,
    cancel: CancellationToken,
}

impl Terminal {
    /// Starts the thread; with `in_place`, standard error is a terminal whose last lines are written over.
    /// After `cancel`, the wait for a terminal that takes nothing is short.
    ///
    /// # Errors
    /// Fails if the system gives no thread.
    pub fn start(in_place: bool, cancel: CancellationToken) -> Result<Self> {
        let (pieces, received) = channel();
        let (end, ended) = channel();
        let progress = Arc::new(Progress::default());
        let region = in_place.then(Region::default);
        let writer = Writer {
            terminal: Term::stderr(),
            region,
            aside: None,
            progress: progress.clone(),
        };
        Builder::new().name("screen".into()).spawn(move || {
            writer.work(&received);
            drop(end);
        })?;
        Ok(Self {
            pieces: Some(pieces),
            progress,
            ended,
            cancel,
        })
    }

    /// Writes a result to standard output.
    pub fn result(&self, text: String) {
        self.send(Piece::Result(text));
    }

    /// Writes a text to standard error that must not be missed.
    pub fn warning(&self, text: String) {
        self.send(Piece::Warning(text));
    }

    /// Writes a text to standard error, unless too much waits already.
    pub fn note(&self, text: String) {
        if self.progress.note_bytes.load(Relaxed) > WAITING_NOTES {
            self.progress.dropped_notes.fetch_add(1, Relaxed);
            return;
        }
        self.progress.note_bytes.fetch_add(text.len(), Relaxed);
        self.send(Piece::Note(text));
    }

    /// Draws the lines in place, unless something still waits: the next frame replaces them anyway.
    pub fn frame(&self, lines: Vec<String>) {
        if lines.is_empty() || self.progress.pieces.load(Relaxed) == 0 {
            self.send(Piece::Frame(lines));
        }
    }

    /// Lends the terminal to a prompt: until this is called with `None`, texts go to `aside`, and nothing is
    /// drawn.
    pub fn lend(&self, aside: Option<SyncSender<String>>) {
        self.send(Piece::Lend(aside));
    }

    /// Sends to `flushed` when everything before this is written.
    pub fn flush(&self, flushed: Sender<()>) {
        self.send(Piece::Flush(flushed));
    }

    fn send(&self, piece: Piece) {
        self.progress.pieces.fetch_add(1, Relaxed);
        // A thread that ended by a panic, which it has printed, shows nothing more.
        let _ = self.pieces.as_ref().map(|pieces| pieces.send(piece));
    }

    fn patience(&self) -> Duration {
        if self.cancel.is_cancelled() {
            PATIENCE_INTERRUPTED
        } else {
            PATIENCE
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.pieces = None;
        let (mut done, mut since) = (self.progress.done.load(Relaxed), Instant::now());
        while self.ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if std::mem::replace(&mut done, self.progress.done.load(Relaxed)) != done {
                since = Instant::now();
            }
            if since.elapsed() > self.patience() {
                return;
            }
        }
    }
}

/// The terminal, on its thread.
struct Writer {
    terminal: Term,
    region: Option<Region>,
    /// The way around a prompt that reads from the terminal.
    aside: Option<SyncSender<String>>,
    progress: Arc<Progress>,
}

impl Writer {
    fn work(mut self, pieces: &Receiver<Piece>) {
        for piece in pieces {
            self.write(piece);
            self.progress.pieces.fetch_sub(1, Relaxed);
            self.progress.done.fetch_add(1, Relaxed);
        }
        self.draw(Vec::new());
    }

    fn write(&mut self, piece: Piece) {
        match piece {
            Piece::Result(text) => self.result(&text),
            Piece::Warning(text) => self.above(&text),
            Piece::Note(text) => {
                self.above(&text);
                self.progress.note_bytes.fetch_sub(text.len(), Relaxed);
                self.tell_dropped();
            }
            Piece::Frame(lines) => self.draw(lines),
            Piece::Lend(aside) => {
                self.draw(Vec::new());
                self.aside = aside;
            }
            Piece::Flush(flushed) => {
                let _ = flushed.send(()); // a prompt that no longer waits needs no answer
            }
        }
    }

    fn tell_dropped(&mut self) {
        let dropped = self.progress.dropped_notes.swap(0, Relaxed);
        if dropped > 0 {
            self.above(&format!(
                "  … {dropped} lines are missing here: the terminal took none"
            ));
        }
    }

    fn result(&mut self, text: &str) {
        if self.aside.is_some() {
            return self.above(text);
        }
        let lines = self
            .region
            .as_ref()
            .map(|region| region.lines().to_vec())
            .unwrap_or_default();
        self.draw(Vec::new());
        // A reader that has closed the pipe is not a failure of lmrun.
        let _ = writeln!(std::io::stdout(), "{text}");
        self.draw(lines);
    }

    /// Prints above the lines in place, which stay.
    fn above(&mut self, text: &str) {
        if let Some(aside) = &self.aside {
            let _ = aside.try_send(text.to_owned()); // a prompt that shows nothing more is at its end
            return;
        }
        let size = self.size();
        let text = match &mut self.region {
            Some(region) => region.replace(text, region.lines().to_vec(), size),
            None => format!("{text}\n"),
        };
        self.send(&text);
    }

    fn draw(&mut self, lines: Vec<String>) {
        if self.aside.is_some() {
            return;
        }
        let size = self.size();
        if let Some(text) = self
            .region
            .as_mut()
            .map(|region| region.replace("", lines, size))
        {
            self.send(&text);
        }
    }

    /// Writes in one piece: a terminal must not show half of it.
    fn send(&self, text: &str) {
        let mut terminal = &self.terminal;
        let _ = terminal.write_all(text.as_bytes());
    }

    fn size(&self) -> (usize, usize) {
        let (rows, columns) = self.terminal.size();
        (rows.into(), columns.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_results_are_kept() {
        let (pieces, received) = channel();
        let (end, ended) = channel();
        drop(end); // no thread takes anything
        let progress = Arc::<Progress>::default();
        let cancel = CancellationToken::new();
        let terminal = Terminal {
            pieces: Some(pieces),
            progress: progress.clone(),
            ended,
            cancel,
        };
        let long = "x".repeat(WAITING_NOTES / 2 + 1);
        (0..5).for_each(|_| terminal.note(long.clone()));
        (0..5).for_each(|_| terminal.frame(vec!["a frame".into()]));
        terminal.result("a result".into());
        terminal.warning("a warning".into());
        terminal.frame(Vec::new());
        drop(terminal);
        let kinds = received.iter().map(|piece| match piece {
            Piece::Note(_) => "note",
            Piece::Result(_) => "result",
            Piece::Warning(_) => "warning",
            Piece::Frame(lines) if lines.is_empty() => "clear",
            _ => "other",
        });
        assert_eq!(
            kinds.collect::<Vec<_>>(),
            ["note", "note", "result", "warning", "clear"]
        );
        assert_eq!(progress.dropped_notes.load(Relaxed), 3);
    }

    #[test]
    fn a_thread_that_takes_nothing_is_given_up_soon_after_an_interrupt() {
        let (_end, ended) = channel();
        let cancel = CancellationToken::new();
        cancel.cancel();
        let terminal = Terminal {
            pieces: None,
            progress: Arc::default(),
            ended,
            cancel,
        };
        let began = Instant::now();
        drop(terminal);
        assert!(
            began.elapsed() >= PATIENCE_INTERRUPTED && began.elapsed() < 2 * PATIENCE_INTERRUPTED
        );
    }
}
