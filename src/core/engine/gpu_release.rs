//! The release of GPU memory after an engine has exited.

use crate::core::EngineSpec;
use crate::driver::gpu;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The maximum time for the driver to free the memory of an exited process.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(15);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The variation of a GPU's memory in use without any process.
const TOLERANCE_MIB: u64 = 512;

/// The memory in use on an engine's GPUs before its start, MiB by index; empty without a GPU.
pub(crate) struct GpuRelease(BTreeMap<u32, u64>);

impl GpuRelease {
    /// Reads the memory in use. A simulated engine has no GPU.
    pub(crate) fn before_start(spec: &EngineSpec) -> Self {
        let mut used = BTreeMap::new();
        if !spec.simulated {
            for gpu in &spec.gpus {
                used.extend(gpu::used_mib(*gpu).map(|mib| (*gpu, mib)));
            }
        }
        Self(used)
    }

    /// Waits until the processes `members` have released the memory. Returns the problem if they do
    /// not release it in time.
    pub(crate) async fn wait_for_gpu_release(&self, members: &[i32]) -> Option<String> {
        let deadline = Instant::now() + RELEASE_TIMEOUT;
        loop {
            let problem = self
                .0
                .iter()
                .find_map(|(gpu, before_mib)| still_in_use(*gpu, *before_mib, members));
            if problem.is_none() || Instant::now() >= deadline {
                return problem;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// Describes the memory in use on a GPU if it is not released. Memory of processes that started
/// later than the engine is not the engine's.
fn still_in_use(gpu: u32, before_mib: u64, members: &[i32]) -> Option<String> {
    let used_mib = gpu::used_mib(gpu)?;
    let processes = gpu::processes(gpu);
    let has_member = processes
        .iter()
        .any(|process| members.contains(&process.pid));
    let processes_mib: u64 = processes.iter().filter_map(|process| process.mib).sum();
    if !has_member && used_mib <= before_mib.max(processes_mib) + TOLERANCE_MIB {
        return None;
    }
    let mut users: Vec<String> = processes.iter().map(ToString::to_string).collect();
    if users.is_empty() {
        users.push("NVML names no process; it may be in another container".into());
    }
    Some(format!(
        "{used_mib} MiB of gpu-{gpu} are still in use {} s after its exit ({before_mib} MiB before \
         its start): {}",
        RELEASE_TIMEOUT.as_secs(),
        users.join(", ")
    ))
}
