//! The machine: memory, disk, limits, clock.

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use procfs::Current;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The resources of a machine. Unknown ones are 0 or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// The number of cores that this program may use.
    pub(crate) cores: usize,
    /// All memory, bytes.
    pub(crate) memory: u64,
    /// Available memory, bytes.
    pub(crate) memory_free: u64,
    /// The maximum number of open files, after the limit is raised.
    pub(crate) files: u64,
    /// The kernel's clock source.
    pub(crate) clock: String,
}

impl Machine {
    /// Returns the resources of this machine.
    pub(crate) fn this() -> Self {
        let memory = procfs::Meminfo::current().ok();
        let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory: memory.as_ref().map_or(0, |memory| memory.mem_total),
            memory_free: memory.and_then(|memory| memory.mem_available).unwrap_or(0),
            files: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard),
            clock: kernel_text(clock),
        }
    }
}

/// Returns true if /proc shows the processes of this process's namespace.
pub(crate) fn proc_is_ours() -> bool {
    let shown = std::fs::read_link("/proc/self");
    shown.is_ok_and(|pid| pid.as_os_str() == std::process::id().to_string().as_str())
}

/// Returns the machine's host name, or an empty text if it has none.
pub(crate) fn host() -> String {
    kernel_text("/proc/sys/kernel/hostname")
}

/// Returns the text of a file of the kernel, or an empty text if the file cannot be read.
fn kernel_text(path: &str) -> String {
    std::fs::read_to_string(path).map_or_else(|_| String::new(), |text| text.trim().into())
}

/// Returns the seconds since 1970.
pub(crate) fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Returns the peak memory of this process, MiB.
pub(crate) fn peak_memory_mib() -> Option<u64> {
    let process = procfs::process::Process::myself().ok()?;
    Some(process.status().ok()?.vmhwm? >> 10)
}

/// Returns the folder for files that may be lost: `lmrun` in the user's cache folder.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let caches = match path_variable("XDG_CACHE_HOME") {
        Some(caches) => caches,
        None => path_variable("HOME")?.join(".cache"),
    };
    Some(caches.join("lmrun"))
}

fn path_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Returns the free disk space below `folder`, bytes.
///
/// # Errors
/// Fails if the folder does not exist.
pub(crate) fn disk_free(folder: &Path) -> std::io::Result<u64> {
    let disk = statvfs(folder)?;
    Ok(disk.blocks_available() as u64 * disk.fragment_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_memory_and_files() {
        let machine = Machine::this();
        assert!(
            machine.cores > 0 && machine.files > 0 && machine.memory > machine.memory_free,
            "{machine:?}"
        );
        assert!(disk_free(Path::new("/")).is_ok_and(|bytes| bytes > 0));
        assert!(disk_free(Path::new("/no/such/folder")).is_err());
    }
}
