//! The processes of this machine, and which of them descend from which.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Stat;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::OsStr;

/// A process by its number and its start: a later process with the same number is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number.
    pub pid: i32,
    /// The time at which it started, in clock ticks since boot.
    pub started: u64,
}

impl ProcessId {
    /// The process that has the number `pid` now.
    pub fn of(pid: i32) -> Option<Self> {
        stat_of(pid).map(|stat| Self::from(&stat))
    }

    /// Returns true until the process has ended.
    pub fn is_alive(self) -> bool {
        stat_of(self.pid).is_some_and(|stat| Self::from(&stat) == self && is_alive(&stat))
    }

    /// Sends `signal`, unless it has ended.
    ///
    /// # Errors
    /// Fails if the system does not let this process signal it.
    pub fn signal(self, signal: Signal) -> Result<(), Errno> {
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

/// The living descendants of `roots`, without the roots.
pub fn descendants(roots: impl IntoIterator<Item = i32>) -> Vec<ProcessId> {
    let stats: Vec<Stat> = living().collect();
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
    let descends = |stat: &&Stat| parents.contains(&stat.pid) && !roots.contains(&stat.pid);
    stats.iter().filter(descends).map(ProcessId::from).collect()
}

/// The living processes whose environment has `name` with this value, as far as it can be read.
pub fn with_variable(name: &str, value: &str) -> Vec<ProcessId> {
    let has = |stat: &Stat| {
        let variables =
            procfs::process::Process::new(stat.pid).and_then(|process| process.environ());
        variables.is_ok_and(|variables| {
            variables
                .get(OsStr::new(name))
                .is_some_and(|found| found == value)
        })
    };
    living()
        .filter(has)
        .map(|stat| ProcessId::from(&stat))
        .collect()
}

/// The name of a process's program; `None` if it has ended.
pub fn name_of(pid: i32) -> Option<String> {
    stat_of(pid).map(|stat| super::text::printable(&stat.comm))
}

/// Resident memory of processes, MiB. Pages that they share count for each.
pub fn resident_mib(pids: &[i32]) -> u64 {
    let pages = |pid: &i32| {
        Some(
            procfs::process::Process::new(*pid)
                .ok()?
                .statm()
                .ok()?
                .resident,
        )
    };
    (pids.iter().filter_map(pages).sum::<u64>() * procfs::page_size()) >> 20
}

/// Every process, including those that have ended and are not collected.
pub(super) fn all() -> Vec<Stat> {
    let Ok(all) = procfs::process::all_processes() else {
        return Vec::new();
    };
    all.filter_map(|process| process.ok()?.stat().ok())
        .collect()
}

/// Every living process.
fn living() -> impl Iterator<Item = Stat> {
    all().into_iter().filter(is_alive)
}

/// Returns true for a zombie whose other threads still end: it holds its ports and its memory.
pub(super) fn is_alive(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X') || stat.num_threads > 1
}

fn stat_of(pid: i32) -> Option<Stat> {
    procfs::process::Process::new(pid)
        .and_then(|process| process.stat())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_with_the_number_of_another_is_not_signalled() {
        let mut stranger = Command::new("sleep").arg("60").spawn().expect("sleep");
        let now = ProcessId::of(stranger.id() as i32).expect("its id");
        let before = ProcessId {
            started: now.started - 1,
            ..now
        };
        assert!(now.is_alive() && !before.is_alive());
        before.signal(Signal::SIGKILL).expect("nothing to do");
        assert!(
            stranger.try_wait().expect("its state").is_none(),
            "it was left alone"
        );
        now.signal(Signal::SIGKILL).expect("its end");
        stranger.wait().expect("its end");
        assert!(!now.is_alive());
    }

    #[test]
    fn descendants_are_found_through_their_parents() {
        let script = "sh -c 'sleep 60; :' & wait";
        let mut shell = Command::new("sh").args(["-c", script]).spawn().expect("sh");
        let of_shell = || descendants([shell.id() as i32]);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while of_shell().len() < 2 {
            assert!(
                std::time::Instant::now() < deadline,
                "found {:?}",
                of_shell()
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let found = of_shell();
        assert!(
            found
                .iter()
                .any(|process| name_of(process.pid).as_deref() == Some("sleep"))
        );
        for process in found {
            process.signal(Signal::SIGKILL).expect("its end");
        }
        shell.wait().expect("its end");
    }
}
