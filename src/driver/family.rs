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
use std::ffi::{OsStr, OsString};

/// The variable that marks a process and all that inherit its environment: it tells whose they are
/// when no living parent does.
pub const MARK: &str = "LMRUN_FAMILY";

/// Resident memory of processes, MiB. Pages that they share count for each.
pub fn resident_mib(pids: &[i32]) -> u64 {
    let pages = |pid: &i32| Some(procfs::process::Process::new(*pid).ok()?.statm().ok()?.resident);
    (pids.iter().filter_map(pages).sum::<u64>() * procfs::page_size()) >> 20
}

/// The living members of a family, known by process id and start time, so that a process id
/// used again is not mistaken for a relative.
#[derive(Clone, Debug)]
pub struct Family {
    leader: i32,
    mark: Option<OsString>,
    known: BTreeMap<i32, u64>,
    /// Others, whose environment was looked at already.
    strangers: BTreeMap<i32, u64>,
}

impl Family {
    /// The family of a session leader whose environment has this [`MARK`].
    pub fn of(leader: i32, mark: Option<OsString>) -> Self {
        let mut family = Self { leader, mark, known: BTreeMap::new(), strangers: BTreeMap::new() };
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

    /// Sends `signal` to the leader's group and to every member known outside it. Those that are
    /// stopped go on, or they would not hear it.
    pub fn signal(&self, signal: Signal) {
        for signal in [signal, Signal::SIGCONT] {
            // A member that is gone already is what we want.
            let _ = killpg(Pid::from_raw(self.leader), signal);
            for pid in self.known.keys().filter(|pid| group_of(**pid) != Ok(self.leader)) {
                let _ = kill(Pid::from_raw(*pid), signal);
            }
        }
    }

    fn refresh(&mut self) {
        let stats = processes();
        let mut next = self.marked(&stats);
        // Children are found after their parents: repeat until nothing is added.
        loop {
            let found =
                stats.iter().filter(|stat| self.has(stat, &next)).map(|stat| (stat.pid, stat.starttime));
            let before = next.len();
            next.extend(found.collect::<Vec<_>>());
            if next.len() == before {
                break;
            }
        }
        self.known = next;
    }

    /// Those that carry the mark. An environment is read once for each process: what has it, has it
    /// from its birth.
    fn marked(&mut self, stats: &[Stat]) -> BTreeMap<i32, u64> {
        let all = stats.iter().map(|stat| (stat.pid, stat.starttime));
        let is_new = |(pid, start): &(i32, u64)| {
            self.known.get(pid) != Some(start) && self.strangers.get(pid) != Some(start)
        };
        let has_mark = |(pid, _): &(i32, u64)| self.mark.is_some() && mark_of(*pid) == self.mark;
        let found: BTreeMap<i32, u64> = all.clone().filter(is_new).filter(has_mark).collect();
        self.strangers =
            all.filter(|(pid, _)| !found.contains_key(pid) && !self.known.contains_key(pid)).collect();
        found
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

/// The mark of a process, if its environment can be read and has one.
pub fn mark_of(pid: i32) -> Option<OsString> {
    procfs::process::Process::new(pid).and_then(|process| process.environ()).ok()?.remove(OsStr::new(MARK))
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
