//! GPU memory through NVML, which is loaded at run time: the same binary runs on machines without a
//! GPU.

use super::text::printable;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static NVML: LazyLock<Option<Nvml>> = LazyLock::new(|| Nvml::init().ok());

/// A GPU of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gpu {
    /// The name of its model.
    pub(crate) name: String,
    /// Its memory, MiB.
    pub(crate) memory_mib: u64,
    /// Its free memory, MiB.
    pub(crate) free_mib: u64,
    /// The processes that use its memory.
    pub(crate) processes: Vec<GpuProcess>,
}

/// A process that uses memory of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GpuProcess {
    /// The PID on this machine. In a container it may be that of the host.
    pub(crate) pid: i32,
    /// The memory that it uses, MiB, if NVML knows it.
    pub(crate) mib: Option<u64>,
}

/// Returns the driver's version and the GPUs, or `None` without a driver.
pub(crate) fn driver_and_gpus() -> Option<(String, Vec<Gpu>)> {
    let version = NVML
        .as_ref()?
        .sys_driver_version()
        .unwrap_or_else(|_| "of unknown version".into());
    Some((version, (0..count()).filter_map(inspect).collect()))
}

fn inspect(index: u32) -> Option<Gpu> {
    let device = device(index)?;
    let memory = device.memory_info().ok()?;
    Some(Gpu {
        name: device.name().ok()?,
        memory_mib: memory.total >> 20,
        free_mib: memory.free >> 20,
        processes: processes(index),
    })
}

/// Returns the memory used on each GPU of this machine, MiB, by `gpu-N`. GPUs that do not answer
/// are skipped.
pub(crate) fn memory_mib() -> BTreeMap<String, u64> {
    let mut used = BTreeMap::new();
    for index in 0..count() {
        if let Some(mib) = used_mib(index) {
            used.insert(format!("gpu-{index}"), mib);
        }
    }
    used
}

/// Returns the names of this machine's GPUs.
pub(crate) fn names() -> Vec<String> {
    (0..count())
        .filter_map(|index| device(index)?.name().ok())
        .collect()
}

/// Returns the memory used on one GPU, MiB, or `None` if it does not exist or does not answer.
pub(crate) fn used_mib(index: u32) -> Option<u64> {
    Some(device(index)?.memory_info().ok()?.used >> 20)
}

/// Returns the processes that use memory of one GPU, as far as NVML knows them.
pub(crate) fn processes(index: u32) -> Vec<GpuProcess> {
    let Some(device) = device(index) else {
        return Vec::new();
    };
    // A list that NVML does not give has no processes.
    [
        device.running_compute_processes(),
        device.running_graphics_processes(),
    ]
    .into_iter()
    .flat_map(Result::unwrap_or_default)
    .map(GpuProcess::from)
    .collect()
}

impl From<ProcessInfo> for GpuProcess {
    fn from(process: ProcessInfo) -> Self {
        Self {
            pid: process.pid as i32,
            mib: match process.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => Some(bytes >> 20),
                UsedGpuMemory::Unavailable => None,
            },
        }
    }
}

impl std::fmt::Display for GpuProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stat = procfs::process::Process::new(self.pid).and_then(|process| process.stat());
        let program = match stat {
            Ok(stat) => printable(&stat.comm),
            Err(_) => "not of this machine or container".into(),
        };
        write!(f, "process {} ({program})", self.pid)?;
        self.mib.map_or(Ok(()), |mib| write!(f, " with {mib} MiB"))
    }
}

fn count() -> u32 {
    NVML.as_ref()
        .and_then(|nvml| nvml.device_count().ok())
        .unwrap_or(0)
}

fn device(index: u32) -> Option<Device<'static>> {
    NVML.as_ref()?.device_by_index(index).ok()
}
