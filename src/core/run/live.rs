//! What is under way, as counters that whoever shows it reads when it likes: the sending threads
//! count, and tell nobody.

use crate::core::run::memory::GpuMemory;
use crate::driver::clock::Stamp;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// An experiment while it runs.
#[derive(Debug)]
pub struct Live {
    /// Its workload, in words.
    pub title: String,
    /// When it began.
    pub start: Stamp,
    /// From its start to the last planned request, seconds; `None` where answers decide it.
    pub planned_s: Option<f64>,
    /// Its engines, in their order.
    pub lanes: Vec<LiveEngine>,
    /// The last reading of the GPU memory, of each engine.
    pub memory: Arc<Mutex<Vec<GpuMemory>>>,
}

/// One engine of it.
#[derive(Debug)]
pub struct LiveEngine {
    /// The engine's name.
    pub engine: Arc<str>,
    /// Whether its numbers are made up.
    pub simulated: bool,
    /// The GPUs of this machine that it uses.
    pub gpus: Vec<u32>,
    /// Requests to it.
    pub planned: usize,
    /// How far they are.
    pub counts: Arc<Counts>,
}

impl LiveEngine {
    /// MiB used on its GPUs; `None` where that is not known.
    pub fn memory_mib(&self, memory: &GpuMemory) -> Option<u64> {
        let used = |gpu: &u32| memory.get(&format!("gpu-{gpu}")).copied();
        self.gpus
            .iter()
            .map(used)
            .sum::<Option<u64>>()
            .filter(|_| !self.gpus.is_empty())
    }
}

/// How far the requests to one engine are.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicUsize,
    answered: AtomicUsize,
}

impl Counts {
    /// One more is handed to its connection.
    pub fn sending(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// One more of those is answered, or will not be.
    pub fn answered(&self) {
        self.answered.fetch_add(1, Relaxed);
    }

    /// How many were sent.
    pub fn sent(&self) -> usize {
        self.sent.load(Relaxed)
    }

    /// How many are under way.
    pub fn running(&self) -> usize {
        let answered = self.answered.load(Relaxed);
        self.sent().saturating_sub(answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_that_of_the_engines_gpus_or_unknown() {
        let lane = |gpus: &[u32]| LiveEngine {
            engine: "e".into(),
            simulated: false,
            gpus: gpus.to_vec(),
            planned: 1,
            counts: Arc::default(),
        };
        let memory = GpuMemory::from([("gpu-0".into(), 10), ("gpu-1".into(), 20)]);
        assert_eq!(lane(&[0, 1]).memory_mib(&memory), Some(30));
        assert_eq!(lane(&[0, 2]).memory_mib(&memory), None);
        assert_eq!(lane(&[]).memory_mib(&memory), None);
    }

    #[test]
    fn what_is_under_way_is_what_was_sent_and_not_answered() {
        let counts = Counts::default();
        (0..3).for_each(|_| counts.sending());
        counts.answered();
        assert_eq!((counts.sent(), counts.running()), (3, 2));
    }
}
