//! What this machine has: memory, disk, limits, clock.

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use procfs::Current;
use std::path::Path;

/// What this machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Cores that this program may use.
    pub cores: usize,
    /// All memory, bytes.
    pub memory: u64,
    /// Memory that can be had, bytes.
    pub memory_free: u64,
    /// Files that this program may open, after raising its limit as far as it can.
    pub files: u64,
    /// What the kernel reads the time from.
    pub clock: String,
}

impl Machine {
    /// This one, as far as it tells. What it does not tell is 0 or empty.
    pub fn this() -> Self {
        let memory = procfs::Meminfo::current().ok();
        let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory: memory.as_ref().map_or(0, |memory| memory.mem_total),
            memory_free: memory.and_then(|memory| memory.mem_available).unwrap_or_default(),
            files: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard),
            clock: std::fs::read_to_string(clock).unwrap_or_default().trim().into(),
        }
    }
}

/// Bytes that can still be written below `folder`.
///
/// # Errors
/// When there is no such folder.
pub fn disk_free(folder: &Path) -> std::io::Result<u64> {
    let disk = statvfs(folder)?;
    Ok(disk.blocks_available() as u64 * disk.fragment_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells() {
        let machine = Machine::this();
        assert!(
            machine.cores > 0 && machine.files > 0 && machine.memory > machine.memory_free,
            "{machine:?}"
        );
        assert!(disk_free(Path::new("/")).is_ok_and(|bytes| bytes > 0));
        assert!(disk_free(Path::new("/no/such/folder")).is_err());
    }
}
