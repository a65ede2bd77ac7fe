//! The process that owns a container or other processes, with the boot and machine that it belongs to.

use super::tree::{self, ProcessId};
use procfs::process::Process;

/// One process of one boot of one machine. Its label is `boot/namespace/pid/start`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Which boot of which machine.
    boot: String,
    /// In which of its process-id namespaces.
    namespace: String,
    process: ProcessId,
}

/// States if an owner can still look after what it owns.
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
        Self::near(ProcessId::of(std::process::id() as i32)?)
    }

    /// A process that this one sees; `None` as for [`Owner::this`].
    pub fn near(process: ProcessId) -> Option<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()?
            .trim()
            .to_owned();
        let namespace = std::fs::read_link("/proc/self/ns/pid")
            .ok()?
            .display()
            .to_string();
        Some(Self {
            boot,
            namespace,
            process,
        })
    }

    /// The value of a label.
    pub fn label(&self) -> String {
        let ProcessId { pid, started } = self.process;
        format!("{}/{}/{pid}/{started}", self.boot, self.namespace)
    }

    /// The owner that a label names.
    pub fn of(label: &str) -> Option<Self> {
        let mut parts = label.split('/');
        let (boot, namespace) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let (pid, started) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self {
            boot,
            namespace,
            process: ProcessId { pid, started },
        })
    }

    /// Its process, in the process-id namespace that it lives in.
    pub fn pid(&self) -> i32 {
        self.process.pid
    }

    /// What became of it, as seen by `this`.
    pub fn fate(&self, this: &Self) -> Fate {
        if self.boot != this.boot {
            return Fate::OtherBoot;
        }
        if self.namespace != this.namespace {
            return Fate::MayLive;
        }
        match Process::new(self.pid()).and_then(|process| process.stat()) {
            Ok(stat) if ProcessId::from(&stat) == self.process && tree::is_alive(&stat) => {
                Fate::MayLive
            }
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
        let process = this.process;
        let reused = Owner {
            process: ProcessId {
                started: process.started + 1,
                ..process
            },
            ..this.clone()
        };
        assert_eq!(reused.fate(&this), Fate::Ended);
        let never = ProcessId {
            pid: i32::MAX,
            ..process
        };
        let gone = Owner {
            process: never,
            ..this.clone()
        };
        assert_eq!(gone.fate(&this), Fate::Ended);
        let unseen = Owner {
            namespace: "pid:[1]".into(),
            process: never,
            ..this.clone()
        };
        assert_eq!(unseen.fate(&this), Fate::MayLive);
        let earlier = Owner {
            boot: "another".into(),
            ..this.clone()
        };
        assert_eq!(earlier.fate(&this), Fate::OtherBoot);
        assert_eq!(Owner::of("somebody"), None);
    }
}
