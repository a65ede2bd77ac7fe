//! Limits of the system that a load client meets.

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::close;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::Builder;

/// The number of open files that the kernel's table is prepared for; 8 bytes each.
const PREPARED_FILES: u64 = 1 << 16;

/// Returns the maximum number of open files of this process, if the system tells it.
pub(crate) fn max_descriptors() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE)
        .ok()
        .map(|(soft, _)| soft)
}

/// Raises the maximum number of open files as far as the system allows, and enlarges the kernel's
/// table of them.
///
/// Call it before threads are started: while the table of a process with threads grows, each thread
/// that opens or uses a file may wait for about 10 ms.
pub(crate) fn prepare_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    // If the system refuses, connections may be late, and their rows show it.
    let highest = max_descriptors().unwrap_or(1).clamp(1, PREPARED_FILES) as i32 - 1;
    if let Ok(descriptor) = fcntl(std::io::stderr(), FcntlArg::F_DUPFD_CLOEXEC(highest)) {
        let _ = close(descriptor);
    }
}

/// Returns true if the system lets this process start `count` more threads now.
pub(crate) fn can_start_threads(count: usize) -> bool {
    const STACK: usize = 64 << 10;
    let (end, ended) = channel::<()>();
    let ended = Arc::new(Mutex::new(ended));
    let mut threads = Vec::new();
    for _ in 0..count {
        let ended = ended.clone();
        threads.push(
            Builder::new()
                .stack_size(STACK)
                .spawn(move || ended.lock().recv()),
        );
    }
    drop(end);
    let all_started = threads.iter().all(Result::is_ok);
    for thread in threads.into_iter().flatten() {
        let _ = thread.join();
    }
    all_started
}

/// Returns the number of TCP segments that this machine has retransmitted, if the system tells it.
pub(crate) fn retransmits() -> Option<u64> {
    procfs::net::snmp()
        .ok()
        .map(|counts| counts.tcp_retrans_segs)
}

/// Returns the CPU time that a thread of this process has used, seconds.
pub(crate) fn thread_cpu_s(tid: i32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}
