//! What engines leave that nothing tells as theirs any more: a daemon that left the session, took its mark
//! out of its environment, and whose parent has ended. As an orphan it comes to this process.

use super::family::{processes, reap};
use super::text::printable;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
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
/// anything is started: children that are there then, from before an `exec`, are somebody else's, and so
/// may be their orphans. To the first process of a container come those of all.
pub fn adopt_orphans() {
    let adopts = prctl::set_child_subreaper(true).is_ok(); // an old kernel: session and mark still tell
    ALL_OURS.store(adopts && std::process::id() != 1 && found(&[]).is_empty(), Relaxed);
}

/// Kills them, when everything is closed that was started here but for `kept`; says which there were.
pub async fn end_strays(kept: &[i32]) -> Vec<String> {
    let mut ended = Vec::new();
    for _ in 0..LOOKS {
        let strays = if ALL_OURS.load(Relaxed) { found(kept) } else { Vec::new() };
        if strays.is_empty() {
            break;
        }
        for Stat { pid, comm, .. } in &strays {
            // One that is gone already is what we want.
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            ended.push(format!("{} (process {pid})", printable(comm)));
        }
        tokio::time::sleep(EVERY).await;
        reap(&strays.iter().map(|stat| stat.pid).collect::<Vec<_>>());
    }
    ended.sort();
    ended.dedup();
    ended
}

/// The living children of this process.
fn found(kept: &[i32]) -> Vec<Stat> {
    let us = std::process::id() as i32;
    let is_ours = |stat: &Stat| stat.ppid == us && !kept.contains(&stat.pid);
    processes().into_iter().filter(is_ours).collect()
}
