//! Limits of the system that a load client meets.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many files this process may have open; `None` where the system does not tell.
pub fn max_descriptors() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

/// Raises the number of files that this process may open as far as the system lets it.
pub fn raise_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// TCP segments that this machine has sent a second time so far; `None` where the system does not tell.
pub fn retransmits() -> Option<u64> {
    procfs::net::snmp().ok().map(|counts| counts.tcp_retrans_segs)
}

/// Seconds of CPU that a thread of this process has used.
pub fn thread_cpu_s(tid: i32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}
