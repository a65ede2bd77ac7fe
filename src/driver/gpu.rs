//! GPU memory through NVML, loaded at run time: the same binary runs where there is no GPU.

use nvml_wrapper::enums::device::UsedGpuMemory;
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
    /// Who holds some of it.
    pub users: Vec<Holder>,
}

/// The driver's version and the GPUs; `None` where there is no driver.
pub fn survey() -> Option<(String, Vec<Gpu>)> {
    let nvml = NVML.as_ref()?;
    let driver = nvml
        .sys_driver_version()
        .unwrap_or_else(|_| "of unknown version".into());
    Some((driver, (0..count()).filter_map(inspect).collect()))
}

fn inspect(index: u32) -> Option<Gpu> {
    let device = device(index)?;
    let memory = device.memory_info().ok()?;
    let (memory_mib, free_mib) = (memory.total >> 20, memory.free >> 20);
    Some(Gpu {
        name: device.name().ok()?,
        memory_mib,
        free_mib,
        users: holders(index),
    })
}

/// MiB used on each GPU of this machine, by `gpu-N`; empty where there is none.
///
/// A GPU that does not answer is left out rather than given a made-up number.
pub fn memory_mib() -> BTreeMap<String, u64> {
    let mib = |index: u32| Some((format!("gpu-{index}"), used_mib(index)?));
    (0..count()).filter_map(mib).collect()
}

/// The names of this machine's GPUs.
pub fn names() -> Vec<String> {
    (0..count())
        .filter_map(|index| device(index)?.name().ok())
        .collect()
}

/// MiB used on one GPU; `None` where there is no such GPU, or it does not answer.
pub fn used_mib(index: u32) -> Option<u64> {
    Some(device(index)?.memory_info().ok()?.used >> 20)
}

/// A process that holds memory of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, as this machine counts: in a container it may be that of the host.
    pub pid: i32,
    /// How much it holds, where NVML tells.
    pub mib: Option<u64>,
}

/// Who holds memory of one GPU, as far as NVML tells.
pub fn holders(index: u32) -> Vec<Holder> {
    let Some(device) = device(index) else {
        return Vec::new();
    };
    let lists = [
        device.running_compute_processes(),
        device.running_graphics_processes(),
    ];
    let holder = |process: nvml_wrapper::struct_wrappers::device::ProcessInfo| Holder {
        pid: process.pid as i32,
        mib: match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes >> 20),
            UsedGpuMemory::Unavailable => None,
        },
    };
    lists
        .into_iter()
        .flat_map(Result::unwrap_or_default)
        .map(holder)
        .collect()
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let program = procfs::process::Process::new(self.pid).and_then(|process| process.stat());
        let program = program.map_or_else(
            |_| "not of this machine or container".into(),
            |stat| stat.comm,
        );
        write!(
            f,
            "process {} ({})",
            self.pid,
            super::text::printable(&program)
        )?;
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
