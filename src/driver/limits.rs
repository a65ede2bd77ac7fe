//! Limits of the system that a load client meets.

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::close;

/// How many files this process may have open; `None` where the system does not tell.
pub fn max_descriptors() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

/// Raises the number of files that this process may open as far as the system lets it, and makes the
/// kernel's table of them large now, before there are threads: while the table of a process with threads
/// grows, each thread that opens or uses a file may wait for some 10 ms.
pub fn prepare_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    // Where the system refuses, connections may be late, and their rows say so.
    let highest = max_descriptors().unwrap_or_default().clamp(1, TABLE) as i32 - 1;
    if let Ok(descriptor) = fcntl(std::io::stderr(), FcntlArg::F_DUPFD_CLOEXEC(highest)) {
        let _ = close(descriptor);
    }
}

/// As many files as one run is likely to have open; the table takes 8 bytes for each.
const TABLE: u64 = 1 << 16;

/// TCP segments that this machine has sent a second time so far; `None` where the system does not tell.
pub fn retransmits() -> Option<u64> {
    procfs::net::snmp().ok().map(|counts| counts.tcp_retrans_segs)
}

/// Seconds of CPU that a thread of this process has used.
pub fn thread_cpu_s(tid: i32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}
