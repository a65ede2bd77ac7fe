//! What this machine has: memory, disk, limits, clock.

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use procfs::Current;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

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
            memory_free: memory
                .and_then(|memory| memory.mem_available)
                .unwrap_or_default(),
            files: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard),
            clock: std::fs::read_to_string(clock)
                .unwrap_or_default()
                .trim()
                .into(),
        }
    }
}

/// Returns true if /proc shows the processes of this process's own namespace.
pub fn proc_is_ours() -> bool {
    let shown = std::fs::read_link("/proc/self");
    shown.is_ok_and(|pid| pid.as_os_str() == std::process::id().to_string().as_str())
}

/// The machine's name; empty where it has none.
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap_or_default()
        .trim()
        .into()
}

/// Seconds since 1970.
pub fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The most memory that this process ever had, MiB.
pub fn peak_memory_mib() -> Option<u64> {
    let status = procfs::process::Process::myself()
        .and_then(|process| process.status())
        .ok()?;
    Some(status.vmhwm? >> 10)
}

/// Where this program keeps what it may lose: `lmrun` in the user's cache folder.
pub fn cache_folder() -> Option<PathBuf> {
    let given = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let caches = given("XDG_CACHE_HOME").or_else(|| Some(given("HOME")?.join(".cache")))?;
    Some(caches.join("lmrun"))
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
