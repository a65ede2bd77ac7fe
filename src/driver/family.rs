//! A process and everything that came from it, also what left its process group.
//!
//! vLLM's engine core and tensor-parallel workers outlive the API server by seconds, or for
//! ever; "the process ended" is not "the GPU is free".

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use procfs::process::Stat;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt::{Display, Formatter};
use std::str::FromStr;

/// The variable that marks a process and all that inherit its environment: it tells whose they are
/// when no living parent does.
pub const MARK: &str = "LMRUN_FAMILY";

/// What tells a family from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyName {
    /// The session leader's process id, which may be given to somebody else when it is free.
    pub leader: i32,
    /// The value of [`MARK`] in its environment.
    mark: String,
    /// When the leader started; `None` where it had ended before it was looked at.
    started: Option<u64>,
}

impl FamilyName {
    /// The name of the family of a session leader whose environment has this [`MARK`], one word.
    pub fn of(leader: i32, mark: String) -> Self {
        Self { leader, mark, started: stat_of(leader).map(|stat| stat.starttime) }
    }
}

impl Display for FamilyName {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.leader, self.mark)?;
        self.started.map_or(Ok(()), |started| write!(f, " {started}"))
    }
}

impl FromStr for FamilyName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let leader = words.next().and_then(|leader| leader.parse().ok()).ok_or(())?;
        let mark = words.next().ok_or(())?.into();
        Ok(Self { leader, mark, started: words.next().and_then(|started| started.parse().ok()) })
    }
}

/// Resident memory of processes, MiB. Pages that they share count for each.
pub fn resident_mib(pids: &[i32]) -> u64 {
    let pages = |pid: &i32| Some(procfs::process::Process::new(*pid).ok()?.statm().ok()?.resident);
    (pids.iter().filter_map(pages).sum::<u64>() * procfs::page_size()) >> 20
}

/// The living members of a family, known by process id and start time, so that a process id
/// used again is not mistaken for a relative.
#[derive(Clone, Debug)]
pub struct Family {
    name: FamilyName,
    known: BTreeMap<i32, u64>,
    /// Others, whose environment was looked at already.
    strangers: BTreeMap<i32, u64>,
}

impl Family {
    /// The family of this name, as far as it lives.
    pub fn of(name: FamilyName) -> Self {
        let mut family = Self { name, known: BTreeMap::new(), strangers: BTreeMap::new() };
        family.refresh();
        family
    }

    /// What tells it from others.
    pub fn name(&self) -> &FamilyName {
        &self.name
    }

    /// The members alive now. Finds new ones, forgets the dead.
    pub fn alive(&mut self) -> Vec<i32> {
        self.refresh();
        self.known.keys().copied().collect()
    }

    /// Sends `signal` to the leader's group and to every member known outside it. Those that are
    /// stopped go on, or they would not hear it.
    pub fn signal(&self, signal: Signal) {
        let living = self.known.iter().filter(|(pid, start)| is_same(**pid, **start));
        let (inside, outside): (Vec<i32>, Vec<i32>) =
            living.map(|(pid, _)| *pid).partition(|pid| group_of(*pid) == Ok(self.name.leader));
        for signal in [signal, Signal::SIGCONT] {
            // A member that is gone already is what we want. A group without one is not ours.
            if !inside.is_empty() {
                let _ = killpg(Pid::from_raw(self.name.leader), signal);
            }
            for pid in &outside {
                let _ = kill(Pid::from_raw(*pid), signal);
            }
        }
    }

    fn refresh(&mut self) {
        let stats = processes();
        let mut next = self.marked(&stats);
        let session = self.has_session(&stats);
        // Children are found after their parents: repeat until nothing is added.
        loop {
            let found = stats
                .iter()
                .filter(|stat| self.has(stat, session, &next))
                .map(|stat| (stat.pid, stat.starttime));
            let before = next.len();
            next.extend(found.collect::<Vec<_>>());
            if next.len() == before {
                break;
            }
        }
        self.known = next;
    }

    /// Those that carry the mark. An environment is read once for each process: what has the mark has
    /// it from its birth. Only while a process changes its program it shows none.
    fn marked(&mut self, stats: &[Stat]) -> BTreeMap<i32, u64> {
        let mut found = BTreeMap::new();
        let mut strangers = BTreeMap::new();
        for (pid, start) in stats.iter().map(|stat| (stat.pid, stat.starttime)) {
            if self.strangers.get(&pid) == Some(&start) {
                strangers.insert(pid, start);
            } else if self.known.get(&pid) != Some(&start) {
                match environment(pid) {
                    Some(variables) if self.is_marked(&variables) => found.insert(pid, start),
                    Some(_) => strangers.insert(pid, start),
                    None => None,
                };
            }
        }
        self.strangers = strangers;
        found
    }

    fn is_marked(&self, environment: &HashMap<OsString, OsString>) -> bool {
        environment.get(OsStr::new(MARK)).is_some_and(|mark| *mark == *self.name.mark)
    }

    /// Whether the session of the leader's number is still that of the leader. As long as anybody is
    /// in it, the number is given to nobody else; afterwards it may be a stranger's.
    fn has_session(&self, stats: &[Stat]) -> bool {
        let leads = stats.iter().find(|stat| stat.pid == self.name.leader);
        leads.is_none_or(|stat| Some(stat.starttime) == self.name.started)
    }

    fn has(&self, stat: &Stat, session: bool, found: &BTreeMap<i32, u64>) -> bool {
        (session && stat.session == self.name.leader)
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

/// The environment of a process, where it has one and we may read it.
fn environment(pid: i32) -> Option<HashMap<OsString, OsString>> {
    let variables = procfs::process::Process::new(pid).and_then(|process| process.environ());
    variables.ok().filter(|variables| !variables.is_empty())
}

/// Every living process. One that ends while we look is not listed.
pub(super) fn processes() -> Vec<Stat> {
    let Ok(all) = procfs::process::all_processes() else { return Vec::new() };
    all.filter_map(|process| process.ok()?.stat().ok()).filter(is_alive).collect()
}

/// A zombie whose other threads still end holds its ports and its memory.
fn is_alive(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X') || stat.num_threads > 1
}

/// Whether the process that was seen is still the one of that number.
fn is_same(pid: i32, start: u64) -> bool {
    stat_of(pid).is_some_and(|stat| stat.starttime == start)
}

fn stat_of(pid: i32) -> Option<Stat> {
    procfs::process::Process::new(pid).and_then(|process| process.stat()).ok()
}

fn group_of(pid: i32) -> Result<i32, Errno> {
    nix::unistd::getpgid(Some(Pid::from_raw(pid))).map(Pid::as_raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    #[test]
    fn a_number_that_somebody_else_has_now_is_no_relative() {
        let mut stranger = Command::new("sleep").arg("60").process_group(0).spawn().expect("sleep");
        let pid = stranger.id() as i32;
        let now = FamilyName::of(pid, "a-mark-of-nobody".into());
        let before = FamilyName { started: now.started.map(|started| started - 1), ..now.clone() };
        for name in [before, FamilyName { started: None, ..now }] {
            let mut family = Family::of(name);
            assert_eq!(family.alive(), Vec::<i32>::new());
            family.signal(Signal::SIGKILL);
        }
        assert!(stranger.try_wait().expect("its state").is_none(), "it was left alone");
        stranger.kill().expect("its end");
        stranger.wait().expect("its end");
    }

    #[test]
    fn a_name_is_told_in_a_line() {
        let name = FamilyName::of(std::process::id() as i32, "7-42".into());
        assert_eq!(name.to_string().parse(), Ok(name.clone()));
        let gone = FamilyName { started: None, ..name };
        assert_eq!(gone.to_string().parse(), Ok(gone));
        assert_eq!("7".parse::<FamilyName>(), Err(()));
    }
}
