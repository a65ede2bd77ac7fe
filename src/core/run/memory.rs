//! GPU memory while an experiment runs.

use crate::core::{Engine, EngineSpec};
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
    /// The last reading, of each engine.
    latest: Arc<Mutex<Vec<GpuMemory>>>,
    /// The GPUs of each engine.
    gpus: Vec<Vec<u32>>,
    task: JoinHandle<()>,
}

impl MemoryWatch {
    /// Takes a first reading, then goes on in the background.
    pub async fn start(engines: &[Arc<Engine>]) -> Self {
        let engines = engines.to_vec();
        let gpus = engines
            .iter()
            .map(|engine| engine.spec.host_gpus())
            .collect();
        let latest = Arc::new(Mutex::new(read(&engines).await));
        let shared = latest.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let now = read(&engines).await;
                *shared.lock() = now;
            }
        });
        Self { latest, gpus, task }
    }

    /// The memory in use on the GPUs of one engine, MiB, if it is known.
    pub(crate) fn used_mib(&self, engine_id: usize) -> Option<u64> {
        let gpus = self.gpus.get(engine_id)?;
        sum_mib(self.latest.lock().get(engine_id)?, gpus)
    }

    /// The last reading of one engine as JSON; `{}` if there is none.
    pub fn latest_json(&self, engine_id: usize) -> Arc<str> {
        self.latest
            .lock()
            .get(engine_id)
            .map_or_else(|| NONE.into(), json)
    }
}

/// The sum over some GPUs, MiB; `None` for no GPU or an unknown one.
fn sum_mib(memory: &GpuMemory, gpus: &[u32]) -> Option<u64> {
    let used = gpus
        .iter()
        .map(|gpu| memory.get(&format!("gpu-{gpu}")).copied());
    used.sum::<Option<u64>>().filter(|_| !gpus.is_empty())
}

/// The memory of no GPU, as JSON.
pub const NONE: &str = "{}";

fn json(memory: &GpuMemory) -> Arc<str> {
    serde_json::json!(memory).to_string().into()
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The memory of each engine: a simulated one reports its own.
async fn read(engines: &[Arc<Engine>]) -> Vec<GpuMemory> {
    let mut of_machine = GpuMemory::new();
    if engines.iter().any(|engine| !engine.spec.simulated) {
        of_machine = tokio::task::spawn_blocking(gpu::memory_mib)
            .await
            .unwrap_or_default();
    }
    let mut memory = Vec::with_capacity(engines.len());
    for engine in engines {
        let is_simulated = engine.spec.simulated;
        memory.push(if is_simulated {
            simulated(engine).await
        } else {
            own(&engine.spec, &of_machine)
        });
    }
    memory
}

/// The memory of the GPUs of this machine that an engine uses: all of them if it does not say which, none
/// if it runs elsewhere.
fn own(spec: &EngineSpec, of_machine: &GpuMemory) -> GpuMemory {
    if spec.gpus.is_empty() {
        return if spec.url.is_none() {
            of_machine.clone()
        } else {
            GpuMemory::new()
        };
    }
    let known = |gpu: u32| of_machine.get_key_value(&format!("gpu-{gpu}"));
    let pairs = spec.host_gpus().into_iter().filter_map(known);
    pairs.map(|(name, mib)| (name.clone(), *mib)).collect()
}

async fn simulated(engine: &Engine) -> GpuMemory {
    let Some(metric) = &engine.spec.memory_metric else {
        return GpuMemory::new();
    };
    let url = engine.server.base_url() + "/metrics";
    let Ok(text) = probe::get(&url, Duration::from_secs(2)).await else {
        return GpuMemory::new();
    };
    let label = |labels: &str| {
        labels
            .split("gpu=\"")
            .nth(1)?
            .split('"')
            .next()
            .map(str::to_owned)
    };
    probe::samples(&text, metric)
        .filter_map(|(labels, mib)| Some((format!("gpu-{}", label(labels)?), mib as u64)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_several_gpus_is_their_sum_or_unknown() {
        let memory = GpuMemory::from([("gpu-0".into(), 10), ("gpu-1".into(), 20)]);
        assert_eq!(sum_mib(&memory, &[0, 1]), Some(30));
        assert_eq!(sum_mib(&memory, &[0, 2]), None);
        assert_eq!(sum_mib(&memory, &[]), None);
    }

    #[test]
    fn memory_of_an_engine_is_that_of_its_own_gpus_on_this_machine() {
        let spec = |more: serde_json::Value| {
            let mut spec = serde_json::json!({ "name": "e", "kind": "k", "model": "m" });
            spec.as_object_mut()
                .expect("a map")
                .extend(more.as_object().cloned().expect("a map"));
            serde_json::from_value::<EngineSpec>(spec).expect("a spec")
        };
        let all = GpuMemory::from([
            ("gpu-0".into(), 10),
            ("gpu-1".into(), 20),
            ("gpu-2".into(), 30),
        ]);
        let own = |more| json(&own(&spec(more), &all)).to_string();
        let url = "http://127.0.0.1:8000";
        assert_eq!(
            own(serde_json::json!({ "gpus": [1, 7] })),
            r#"{"gpu-1":20}"#
        );
        assert_eq!(
            own(serde_json::json!({})),
            r#"{"gpu-0":10,"gpu-1":20,"gpu-2":30}"#
        );
        assert_eq!(own(serde_json::json!({ "url": url })), NONE);
        assert_eq!(
            own(serde_json::json!({ "url": url, "gpus": [0] })),
            r#"{"gpu-0":10}"#
        );
        let boxed =
            serde_json::json!({ "gpus": [0], "container": { "image": "i", "gpus": [2, 1] } });
        assert_eq!(own(boxed), r#"{"gpu-2":30}"#);
    }
}
