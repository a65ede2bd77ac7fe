//! GPU memory through NVML, loaded at run time: the same binary runs where there is no GPU.

use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static NVML: LazyLock<Option<Nvml>> = LazyLock::new(|| Nvml::init().ok());

/// A GPU of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its name.
    pub name: String,
    /// All its memory, MiB.
    pub memory_mib: u64,
    /// What is free of it, MiB.
    pub free_mib: u64,
    /// Who computes on it: process id, name, and MiB where they are told.
    pub users: Vec<(u32, String, Option<u64>)>,
}

/// The driver's version and the GPUs; `None` where there is no driver.
pub fn survey() -> Option<(String, Vec<Gpu>)> {
    let nvml = NVML.as_ref()?;
    let driver = nvml.sys_driver_version().unwrap_or_else(|_| "of unknown version".into());
    let count = nvml.device_count().unwrap_or(0);
    Some((driver, (0..count).filter_map(|index| inspect(&nvml.device_by_index(index).ok()?)).collect()))
}

fn inspect(device: &Device<'_>) -> Option<Gpu> {
    let memory = device.memory_info().ok()?;
    let users = device.running_compute_processes().unwrap_or_default();
    Some(Gpu {
        name: device.name().ok()?,
        memory_mib: memory.total >> 20,
        free_mib: memory.free >> 20,
        users: users.iter().map(user).collect(),
    })
}

fn user(process: &ProcessInfo) -> (u32, String, Option<u64>) {
    // In a container the process ids are the host's, whose names cannot be seen.
    let stat = procfs::process::Process::new(process.pid as i32).and_then(|process| process.stat());
    let mib = match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(bytes >> 20),
        UsedGpuMemory::Unavailable => None,
    };
    (process.pid, stat.map_or_else(|_| "unseen".into(), |stat| stat.comm), mib)
}

/// MiB used on each GPU of this machine, by `gpu-N`; empty where there is none.
///
/// A GPU that does not answer is left out rather than given a made-up number.
pub fn memory_mib() -> BTreeMap<String, u64> {
    let Some(nvml) = NVML.as_ref() else { return BTreeMap::new() };
    let count = nvml.device_count().unwrap_or(0);
    (0..count)
        .filter_map(|index| {
            let memory = nvml.device_by_index(index).ok()?.memory_info().ok()?;
            Some((format!("gpu-{index}"), memory.used >> 20))
        })
        .collect()
}

/// The names of this machine's GPUs.
pub fn names() -> Vec<String> {
    let Some(nvml) = NVML.as_ref() else { return Vec::new() };
    let count = nvml.device_count().unwrap_or(0);
    (0..count).filter_map(|index| nvml.device_by_index(index).ok()?.name().ok()).collect()
}
