//! Who started a container: one process of one boot of one machine.

use procfs::process::Process;

/// The owner of a container, as its label has it: `boot/namespace/pid/start`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Which boot of which machine.
    boot: String,
    /// In which of its process-id namespaces.
    namespace: String,
    pid: i32,
    /// A process id is used again, but not at the same moment.
    started: u64,
}

/// Whether an owner can still look after its containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It lives, or cannot be seen from here.
    MayLive,
    /// It has ended.
    Ended,
    /// It belongs to an earlier boot, or to another machine.
    OtherBoot,
}

impl Owner {
    /// This process; `None` where the system does not say enough to be told from others.
    pub fn this() -> Option<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?.display().to_string();
        let stat = Process::myself().ok()?.stat().ok()?;
        Some(Self { boot, namespace, pid: stat.pid, started: stat.starttime })
    }

    /// The value of a label.
    pub fn label(&self) -> String {
        format!("{}/{}/{}/{}", self.boot, self.namespace, self.pid, self.started)
    }

    /// The owner that a label names.
    pub fn of(label: &str) -> Option<Self> {
        let mut parts = label.split('/');
        let (boot, namespace) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let (pid, started) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { boot, namespace, pid, started })
    }

    /// What became of it, as seen by `this`.
    pub fn fate(&self, this: &Self) -> Fate {
        if self.boot != this.boot {
            return Fate::OtherBoot;
        }
        if self.namespace != this.namespace {
            return Fate::MayLive;
        }
        let same =
            |stat: &procfs::process::Stat| stat.starttime == self.started && !"ZX".contains(stat.state);
        match Process::new(self.pid).and_then(|process| process.stat()) {
            Ok(stat) if same(&stat) => Fate::MayLive,
            Ok(_) | Err(procfs::ProcError::NotFound(_)) => Fate::Ended,
            Err(_) => Fate::MayLive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_known_by_process_start_and_boot() {
        let this = Owner::this().expect("Linux");
        assert_eq!(Owner::of(&this.label()), Some(this.clone()));
        assert_eq!(this.fate(&this), Fate::MayLive);
        let reused = Owner { started: this.started + 1, ..this.clone() };
        assert_eq!(reused.fate(&this), Fate::Ended);
        let gone = Owner { pid: i32::MAX, ..this.clone() };
        assert_eq!(gone.fate(&this), Fate::Ended);
        let unseen = Owner { namespace: "pid:[1]".into(), pid: i32::MAX, ..this.clone() };
        assert_eq!(unseen.fate(&this), Fate::MayLive);
        let earlier = Owner { boot: "another".into(), ..this.clone() };
        assert_eq!(earlier.fate(&this), Fate::OtherBoot);
        assert_eq!(Owner::of("somebody"), None);
    }
}
