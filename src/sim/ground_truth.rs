//! The timestamps that clients are compared with: the arrival of each request, and the due and
//! write times of each chunk.

use super::scheduler::Nanos;
use http::HeaderMap;
use nix::time::{ClockId, clock_gettime};
use parking_lot::Mutex;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Records the timestamps of all answers. They stay in memory, as writing them would delay chunks.
pub(crate) struct StampRecorder {
    /// The time of `CLOCK_MONOTONIC` at 0 of the engine's clock.
    offset_ns: u64,
    answers: Mutex<Vec<StreamStamps>>,
}

/// The timestamps of one streamed answer, in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Debug, Default, Serialize)]
struct StreamStamps {
    /// The request's `x-request-id`.
    id: String,
    /// The time at which the request had been read.
    arrived_ns: u64,
    /// The time at which each chunk was due.
    due_ns: Vec<u64>,
    /// The time at which the write of each chunk started.
    written_ns: Vec<u64>,
}

impl StampRecorder {
    /// Returns a recorder for an engine whose clock is at `now`.
    pub(crate) fn new(now: Nanos) -> Arc<Self> {
        Arc::new(Self {
            offset_ns: monotonic_ns() - now,
            answers: Mutex::default(),
        })
    }

    /// Starts the stamps of the answer to a request that has just been read.
    pub(crate) fn start_answer(self: &Arc<Self>, headers: &HeaderMap) -> AnswerStamper {
        let id = headers
            .get("x-request-id")
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default();
        AnswerStamper {
            recorder: Arc::clone(self),
            stamps: StreamStamps {
                id: id.to_owned(),
                arrived_ns: monotonic_ns(),
                ..StreamStamps::default()
            },
        }
    }

    /// Writes one JSON object per answer.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for stamps in &*self.answers.lock() {
            serde_json::to_writer(&mut file, stamps)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }
}

/// Stamps the chunks of one answer, and hands the stamps to the recorder when dropped.
pub(crate) struct AnswerStamper {
    recorder: Arc<StampRecorder>,
    stamps: StreamStamps,
}

impl AnswerStamper {
    /// Stamps a chunk that was due at `due` and is written now.
    pub(crate) fn stamp_chunk(&mut self, due: Nanos) {
        self.stamps.due_ns.push(self.recorder.offset_ns + due);
        self.stamps.written_ns.push(monotonic_ns());
    }
}

impl Drop for AnswerStamper {
    fn drop(&mut self) {
        let stamps = std::mem::take(&mut self.stamps);
        self.recorder.answers.lock().push(stamps);
    }
}

fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every system has this clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}
