//! GPU memory while an experiment runs.

use super::Engine;
use crate::driver::{gpu, probe};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_secs(1);

/// MiB used by GPU.
pub type GpuMemory = BTreeMap<String, u64>;

/// Reads the GPU memory once a second, away from the requests, until it is dropped.
pub struct MemoryWatch {
    /// The last reading.
    pub latest: Arc<Mutex<GpuMemory>>,
    task: JoinHandle<()>,
}

impl MemoryWatch {
    /// Takes a first reading, then goes on in the background.
    pub async fn start(engines: &[Arc<Engine>]) -> Self {
        let engines = engines.to_vec();
        let latest = Arc::new(Mutex::new(read(&engines).await));
        let shared = latest.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let now = read(&engines).await;
                *shared.lock() = now;
            }
        });
        Self { latest, task }
    }

    /// The last reading as JSON, empty where there is none.
    pub fn latest_json(&self) -> Arc<str> {
        let latest = self.latest.lock();
        if latest.is_empty() { "".into() } else { serde_json::json!(*latest).to_string().into() }
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Of the GPUs; of the engines' own word where all of them are simulated.
async fn read(engines: &[Arc<Engine>]) -> GpuMemory {
    if !engines.iter().all(|engine| engine.spec.simulated) {
        return tokio::task::spawn_blocking(gpu::memory_mib).await.unwrap_or_default();
    }
    let mut memory = GpuMemory::new();
    for engine in engines {
        for (gpu, mib) in simulated(engine).await {
            *memory.entry(gpu).or_default() += mib;
        }
    }
    memory
}

async fn simulated(engine: &Engine) -> GpuMemory {
    let Some(metric) = &engine.spec.memory_metric else { return GpuMemory::new() };
    let url = engine.base() + "/metrics";
    let Ok(text) = probe::get(&url, Duration::from_secs(2)).await else { return GpuMemory::new() };
    let label = |labels: &str| labels.split("gpu=\"").nth(1)?.split('"').next().map(str::to_owned);
    probe::samples(&text, metric)
        .filter_map(|(labels, mib)| Some((format!("gpu-{}", label(labels)?), mib as u64)))
        .collect()
}
