//! GPU memory that an engine must give back: "the process ended" is not "the GPU is free".

use crate::core::EngineSpec;
use crate::driver::gpu::{self, GpuProcess};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long the driver may take to free the memory of a process that has ended.
const PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);
/// What the use of a GPU varies by without any process.
const SLACK_MIB: u64 = 512;

/// The memory of an engine's GPUs before it was started, MiB by index; empty without a GPU.
pub struct Vram(BTreeMap<u32, u64>);

impl Vram {
    /// Reads it. A simulated engine uses none.
    pub fn before(spec: &EngineSpec) -> Self {
        let used = |gpu: &u32| Some((*gpu, gpu::used_mib(*gpu)?));
        Self(if spec.simulated {
            BTreeMap::new()
        } else {
            spec.gpus.iter().filter_map(used).collect()
        })
    }

    /// Waits until the processes that an engine had hold no memory any more. Returns who holds it,
    /// in words, where it does not come back.
    pub async fn given_back(&self, members: &[i32]) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let kept: Vec<_> = self
                .0
                .iter()
                .filter_map(|(gpu, mib)| kept(*gpu, *mib, members))
                .collect();
            if kept.is_empty() || Instant::now() >= deadline {
                return kept.into_iter().next();
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Who holds memory of a GPU that an engine had. Others than its members may have come since its
/// start, and what they hold explains what is used.
fn kept(gpu: u32, before_mib: u64, members: &[i32]) -> Option<String> {
    let used_mib = gpu::used_mib(gpu)?;
    let holders = gpu::processes(gpu);
    let ours: Vec<&GpuProcess> = holders
        .iter()
        .filter(|holder| members.contains(&holder.pid))
        .collect();
    let others_mib: u64 = holders.iter().filter_map(|holder| holder.mib).sum();
    if ours.is_empty() && used_mib <= before_mib.max(others_mib) + SLACK_MIB {
        return None;
    }
    let who = if holders.is_empty() {
        "NVML names no process that holds it; it may be one of another container".into()
    } else {
        holders
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    Some(format!(
        "{used_mib} MiB of gpu-{gpu} are still in use {} s after its end, {before_mib} MiB before its start: {who}",
        PATIENCE.as_secs()
    ))
}
