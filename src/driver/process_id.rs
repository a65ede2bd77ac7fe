//! The processes of this machine, and their descendants.

use super::text::printable;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::{Process, Stat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::OsStr;

/// A process, identified by its PID and its start: a later process with the same PID is another
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// The PID.
    pub(crate) pid: i32,
    /// The time at which it started, in clock ticks since boot.
    pub(crate) started: u64,
}

impl ProcessId {
    /// Returns the process that has this PID now.
    pub(crate) fn find(pid: i32) -> Option<Self> {
        stat_of(pid).map(|stat| Self::from(&stat))
    }

    /// Returns true until the process has exited.
    pub(crate) fn is_alive(self) -> bool {
        stat_of(self.pid).is_some_and(|stat| Self::from(&stat) == self && is_alive(&stat))
    }

    /// Sends `signal`, unless the process has exited.
    ///
    /// # Errors
    /// Fails if the system does not let this process signal it.
    pub(crate) fn signal(self, signal: Signal) -> Result<(), Errno> {
        if self.is_alive() {
            kill(Pid::from_raw(self.pid), signal)
        } else {
            Ok(())
        }
    }
}

impl From<&Stat> for ProcessId {
    fn from(stat: &Stat) -> Self {
        Self {
            pid: stat.pid,
            started: stat.starttime,
        }
    }
}

/// Returns the living descendants of `roots`, without the roots.
pub(crate) fn descendants(roots: impl IntoIterator<Item = i32>) -> Vec<ProcessId> {
    let stats: Vec<Stat> = living_processes().collect();
    let roots: BTreeSet<i32> = roots.into_iter().collect();
    let mut parents = roots.clone();
    // Children are found after their parents: repeat until nothing is added.
    loop {
        let before = parents.len();
        for stat in &stats {
            if parents.contains(&stat.ppid) {
                parents.insert(stat.pid);
            }
        }
        if parents.len() == before {
            break;
        }
    }
    stats
        .iter()
        .filter(|stat| parents.contains(&stat.pid) && !roots.contains(&stat.pid))
        .map(ProcessId::from)
        .collect()
}

/// Returns the living processes whose environment sets `name` to `value`. Processes whose
/// environment cannot be read are skipped.
pub(crate) fn processes_with_variable(name: &str, value: &str) -> Vec<ProcessId> {
    living_processes()
        .filter(|stat| has_variable(stat.pid, name, value))
        .map(|stat| ProcessId::from(&stat))
        .collect()
}

fn has_variable(pid: i32, name: &str, value: &str) -> bool {
    Process::new(pid)
        .and_then(|process| process.environ())
        .is_ok_and(|variables| {
            variables
                .get(OsStr::new(name))
                .is_some_and(|found| found == value)
        })
}

/// Returns the name of a process's program, or `None` if the process has exited.
pub(crate) fn program_name(pid: i32) -> Option<String> {
    stat_of(pid).map(|stat| printable(&stat.comm))
}

/// Returns the resident memory of processes in MiB. Shared pages count for each of them.
pub(crate) fn resident_mib(pids: &[i32]) -> u64 {
    let pages: u64 = pids.iter().filter_map(|pid| resident_pages(*pid)).sum();
    (pages * procfs::page_size()) >> 20
}

fn resident_pages(pid: i32) -> Option<u64> {
    Some(Process::new(pid).ok()?.statm().ok()?.resident)
}

/// Returns every process, including those that have exited and are not yet reaped.
pub(super) fn all_processes() -> Vec<Stat> {
    let Ok(all) = procfs::process::all_processes() else {
        return Vec::new();
    };
    all.filter_map(|process| process.ok()?.stat().ok())
        .collect()
}

fn living_processes() -> impl Iterator<Item = Stat> {
    all_processes().into_iter().filter(is_alive)
}

/// Returns true for a running process, and for a zombie with running threads: it still holds its
/// ports and its memory.
pub(super) fn is_alive(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X') || stat.num_threads > 1
}

fn stat_of(pid: i32) -> Option<Stat> {
    Process::new(pid).and_then(|process| process.stat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::{Duration, Instant};

    #[test]
    fn signal_ignores_a_process_with_a_reused_pid() {
        let mut unrelated = Command::new("sleep").arg("60").spawn().expect("sleep");
        let now = ProcessId::find(unrelated.id() as i32).expect("its id");
        let before = ProcessId {
            started: now.started - 1,
            ..now
        };
        assert!(now.is_alive() && !before.is_alive());
        before.signal(Signal::SIGKILL).expect("nothing to do");
        assert!(
            unrelated.try_wait().expect("its state").is_none(),
            "it was not signalled"
        );
        now.signal(Signal::SIGKILL).expect("killed");
        unrelated.wait().expect("its status");
        assert!(!now.is_alive());
    }

    #[test]
    fn descendants_include_grandchildren() {
        let script = "sh -c 'sleep 60; :' & wait";
        let mut shell = Command::new("sh").args(["-c", script]).spawn().expect("sh");
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut found = Vec::new();
        while found.len() < 2 {
            assert!(Instant::now() < deadline, "found {found:?}");
            std::thread::sleep(Duration::from_millis(10));
            found = descendants([shell.id() as i32]);
        }
        assert!(
            found
                .iter()
                .any(|process| program_name(process.pid).as_deref() == Some("sleep"))
        );
        for process in found {
            process.signal(Signal::SIGKILL).expect("killed");
        }
        shell.wait().expect("its status");
    }
}
