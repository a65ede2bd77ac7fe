//! GPU memory through NVML, loaded at run time: the same binary runs where there is no GPU.

use nvml_wrapper::Nvml;
use std::collections::BTreeMap;
use std::sync::LazyLock;

static NVML: LazyLock<Option<Nvml>> = LazyLock::new(|| Nvml::init().ok());

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
