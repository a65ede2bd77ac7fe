//! The progress of the requests to one engine.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The progress of the requests to one engine at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineProgress {
    /// The number of requests that were sent.
    pub(crate) sent: usize,
    /// The number of requests in flight.
    pub(crate) in_flight: usize,
    /// The memory in use on the GPUs of the engine, MiB, if it is known.
    pub(crate) gpu_mib: Option<u64>,
}

/// Counters that the sending threads increase.
#[derive(Debug, Default)]
pub(crate) struct RequestCounters {
    sent: AtomicUsize,
    answered: AtomicUsize,
}

impl RequestCounters {
    /// Counts a request that is handed to its connection.
    pub(crate) fn add_sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// Counts a sent request that was answered or has failed.
    pub(crate) fn add_answered(&self) {
        self.answered.fetch_add(1, Relaxed);
    }

    /// The current numbers, without GPU memory.
    pub(crate) fn progress(&self) -> EngineProgress {
        let answered = self.answered.load(Relaxed);
        let sent = self.sent.load(Relaxed);
        EngineProgress {
            sent,
            in_flight: sent.saturating_sub(answered),
            gpu_mib: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_flight_are_sent_and_not_answered() {
        let counters = RequestCounters::default();
        for _ in 0..3 {
            counters.add_sent();
        }
        counters.add_answered();
        let progress = counters.progress();
        assert_eq!((progress.sent, progress.in_flight), (3, 2));
    }
}
