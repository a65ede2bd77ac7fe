//! Orphans: processes whose watchdog was killed, and which are now children of this process.

use super::process_id::{ProcessId, all_processes};
use super::spawn;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use procfs::process::Stat;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// True if every orphan that this process adopts descends from a process that it has started.
static ALL_OURS: AtomicBool = AtomicBool::new(false);

/// The maximum number of attempts to kill all orphans, and the pause between two.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Makes this process adopt the orphans of its engines, so that they can be found and reaped.
///
/// Call it before any process is started: children from before an `exec` are not ours, and their
/// orphans may not be. Process 1 of a container adopts the orphans of all programs in it, so it
/// kills none.
pub(crate) fn adopt_orphans() {
    let adopts = prctl::set_child_subreaper(true).is_ok(); // an old kernel: only records remain
    ALL_OURS.store(
        adopts && std::process::id() != 1 && find().is_empty(),
        Relaxed,
    );
}

/// Kills and reaps the orphans and all their descendants.
pub(crate) async fn kill_all() {
    if !ALL_OURS.load(Relaxed) {
        return;
    }
    for _ in 0..ATTEMPTS {
        let orphans = find();
        if orphans.is_empty() {
            return;
        }
        for stat in &orphans {
            let _ = ProcessId::from(stat).signal(Signal::SIGKILL); // fails if it has exited
            let _ = waitpid(Pid::from_raw(stat.pid), Some(WaitPidFlag::WNOHANG));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Returns the children that this process has not started, including those that are not yet reaped.
fn find() -> Vec<Stat> {
    let this = std::process::id() as i32;
    let started = spawn::children();
    all_processes()
        .into_iter()
        .filter(|stat| stat.ppid == this && !started.contains(&stat.pid))
        .collect()
}
