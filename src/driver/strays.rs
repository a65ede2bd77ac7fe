//! Orphans that become children of this process: the processes that a killed watchdog had adopted.

use super::starter;
use super::tree::{self, ProcessId};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use procfs::process::Stat;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Whether every orphan that comes here comes from what this process has started.
static ALL_OURS: AtomicBool = AtomicBool::new(false);

/// How often, and how far apart, they are looked for until none is left.
const LOOKS: usize = 100;
const EVERY: Duration = Duration::from_millis(20);

/// Makes orphans of our engines our children, so that they are found and collected. Must be called before
/// anything is started: children from before an `exec` are not ours, and their orphans may not be. The first
/// process of a container gets the orphans of all.
pub fn adopt_orphans() {
    let adopts = prctl::set_child_subreaper(true).is_ok(); // an old kernel: records still tell
    ALL_OURS.store(
        adopts && std::process::id() != 1 && found().is_empty(),
        Relaxed,
    );
}

/// Kills and collects the orphans, and all that descends from them.
pub async fn end_all() {
    for _ in 0..LOOKS {
        let strays = if ALL_OURS.load(Relaxed) {
            found()
        } else {
            Vec::new()
        };
        if strays.is_empty() {
            return;
        }
        for stat in &strays {
            let _ = ProcessId::from(stat).signal(Signal::SIGKILL); // one that has ended is what we want
            let _ = waitpid(Pid::from_raw(stat.pid), Some(WaitPidFlag::WNOHANG));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The children that this process has not started, including those that are to be collected.
fn found() -> Vec<Stat> {
    let us = std::process::id() as i32;
    let started = starter::children();
    let is_stray = |stat: &Stat| stat.ppid == us && !started.contains(&stat.pid);
    tree::all().into_iter().filter(is_stray).collect()
}
