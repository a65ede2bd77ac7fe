//! What a client is measured by: when each request came, and when each chunk was due and was written.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use http::HeaderMap;
use nix::time::{ClockId, clock_gettime};
use parking_lot::Mutex;
use serde::Serialize;

use super::scheduler::Nanos;

/// The moments of all answers so far. They stay in memory: writing them would make the next ones late.
pub struct Truth {
    /// What the clock of the engine is behind `CLOCK_MONOTONIC`.
    behind_ns: u64,
    answers: Mutex<Vec<Moments>>,
}

/// The moments of one streamed answer, in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Debug, Default, Serialize)]
struct Moments {
    /// The request's `x-request-id`.
    id: String,
    /// When the request had been read.
    arrived_ns: u64,
    /// When each chunk was due.
    due_ns: Vec<u64>,
    /// When the write of each chunk began.
    written_ns: Vec<u64>,
}

impl Truth {
    /// For an engine whose clock says `now`.
    pub fn new(now: Nanos) -> Arc<Self> {
        Arc::new(Self {
            behind_ns: monotonic_ns() - now,
            answers: Mutex::default(),
        })
    }

    /// The answer to the request with these headers, which has just been read.
    pub fn answer(self: &Arc<Self>, headers: &HeaderMap) -> Stamps {
        let id = headers
            .get("x-request-id")
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default();
        let moments = Moments {
            id: id.to_owned(),
            arrived_ns: monotonic_ns(),
            ..Moments::default()
        };
        Stamps {
            truth: Arc::clone(self),
            moments,
        }
    }

    /// Writes one JSON object an answer.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for moments in &*self.answers.lock() {
            serde_json::to_writer(&mut file, moments)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }
}

/// Stamps the chunks of one answer; handed in when it is dropped.
pub struct Stamps {
    truth: Arc<Truth>,
    moments: Moments,
}

impl Stamps {
    /// A chunk that was due at `due` is written now.
    pub fn chunk(&mut self, due: Nanos) {
        self.moments.due_ns.push(self.truth.behind_ns + due);
        self.moments.written_ns.push(monotonic_ns());
    }
}

impl Drop for Stamps {
    fn drop(&mut self) {
        self.truth
            .answers
            .lock()
            .push(std::mem::take(&mut self.moments));
    }
}

fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every system has this clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}
