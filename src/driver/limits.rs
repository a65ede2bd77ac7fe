//! Limits of the system that a load client meets.

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::close;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::Builder;

/// How many files this process may have open; `None` where the system does not tell.
pub fn max_descriptors() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE)
        .ok()
        .map(|(soft, _)| soft)
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

/// Returns true if the system lets this process start this number of threads now.
pub fn can_start_threads(count: usize) -> bool {
    const STACK: usize = 64 << 10;
    let (end, ended) = channel::<()>();
    let ended = Arc::new(Mutex::new(ended));
    let start = |_| {
        let ended = ended.clone();
        Builder::new()
            .stack_size(STACK)
            .spawn(move || ended.lock().recv())
    };
    let started: Vec<_> = (0..count).map(start).collect();
    drop(end);
    let all = started.iter().all(Result::is_ok);
    for thread in started.into_iter().flatten() {
        let _ = thread.join();
    }
    all
}

/// TCP segments that this machine has sent a second time so far; `None` where the system does not tell.
pub fn retransmits() -> Option<u64> {
    procfs::net::snmp()
        .ok()
        .map(|counts| counts.tcp_retrans_segs)
}

/// Seconds of CPU that a thread of this process has used.
pub fn thread_cpu_s(tid: i32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}
