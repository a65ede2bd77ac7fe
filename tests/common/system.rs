//! Ports, processes and time.

use procfs::process::Process;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Returns a free port that this function has not returned before: the system may give one out again.
pub(crate) fn free_port() -> u16 {
    static USED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        if USED.lock().expect("not poisoned").insert(port) {
            return port;
        }
    }
}

/// Waits until `condition` is true, for a minute at most.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the processes of this machine.
pub(crate) fn all_processes() -> impl Iterator<Item = Process> {
    procfs::process::all_processes()
        .expect("/proc")
        .filter_map(Result::ok)
}

/// Returns the commands of processes that contain `text`.
pub(crate) fn running(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for process in all_processes() {
        let is_zombie = process.stat().is_ok_and(|stat| stat.state == 'Z');
        let command = process.cmdline().unwrap_or_default().join(" ");
        if !is_zombie && command.contains(text) {
            commands.push(command);
        }
    }
    commands
}

/// Returns the root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
