//! A process and everything that came from it, also what left its process group.
//!
//! vLLM's engine core and tensor-parallel workers outlive the API server by seconds, or for
//! ever; "the process ended" is not "the GPU is free".

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use procfs::process::Stat;
use std::collections::BTreeMap;

/// The living members of a family, known by process id and start time, so that a process id
/// used again is not mistaken for a relative.
#[derive(Clone, Debug)]
pub struct Family {
    leader: i32,
    known: BTreeMap<i32, u64>,
}

impl Family {
    /// The family of a session leader.
    pub fn of(leader: i32) -> Self {
        let mut family = Self { leader, known: BTreeMap::new() };
        family.refresh();
        family
    }

    /// The session leader's process id.
    pub fn leader(&self) -> i32 {
        self.leader
    }

    /// The members alive now. Finds new ones, forgets the dead.
    pub fn alive(&mut self) -> Vec<i32> {
        self.refresh();
        self.known.keys().copied().collect()
    }

    /// Sends `signal` to the leader's group and to every member known outside it.
    pub fn signal(&self, signal: Signal) {
        // A member that is gone already is what we want.
        let _ = killpg(Pid::from_raw(self.leader), signal);
        for pid in self.known.keys().filter(|pid| group_of(**pid) != Ok(self.leader)) {
            let _ = kill(Pid::from_raw(*pid), signal);
        }
    }

    fn refresh(&mut self) {
        let stats = processes();
        let mut next = BTreeMap::new();
        // Children are found after their parents: repeat until nothing is added.
        loop {
            let found: Vec<_> = stats.iter().filter(|stat| self.has(stat, &next)).collect();
            if found.len() == next.len() {
                break;
            }
            next = found.into_iter().map(|stat| (stat.pid, stat.starttime)).collect();
        }
        self.known = next;
    }

    fn has(&self, stat: &Stat, found: &BTreeMap<i32, u64>) -> bool {
        stat.pid == self.leader
            || stat.session == self.leader
            || found.contains_key(&stat.ppid)
            || self.known.get(&stat.pid) == Some(&stat.starttime)
    }
}

/// Collects members that were orphaned, came to us, and died.
pub fn reap(pids: &[i32]) {
    for pid in pids {
        let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG));
    }
}

/// Every living process. One that ends while we look is not listed.
fn processes() -> Vec<Stat> {
    let Ok(all) = procfs::process::all_processes() else { return Vec::new() };
    all.filter_map(|process| process.ok()?.stat().ok()).filter(is_alive).collect()
}

/// A zombie whose other threads still end holds its ports and its memory.
fn is_alive(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X') || stat.num_threads > 1
}

fn group_of(pid: i32) -> Result<i32, Errno> {
    nix::unistd::getpgid(Some(Pid::from_raw(pid))).map(Pid::as_raw)
}
