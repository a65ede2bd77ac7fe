//! The owner of a container or of processes, with its boot and machine.

use super::process_id::{ProcessId, is_alive};
use procfs::process::Process;

/// One process of one boot of one machine. Its label is `boot/namespace/pid/start`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnerId {
    /// The boot id, unique for each boot of each machine.
    boot: String,
    /// The process-id namespace.
    namespace: String,
    process: ProcessId,
}

/// The state of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerState {
    /// It is alive, or cannot be seen from here.
    MayLive,
    /// It has exited.
    Exited,
    /// It belongs to an earlier boot, or to another machine.
    OtherBoot,
}

impl OwnerId {
    /// Returns this process as an owner, or `None` if the system does not identify it uniquely.
    pub(crate) fn current() -> Option<Self> {
        Self::new(ProcessId::find(std::process::id() as i32)?)
    }

    /// Returns a process of this machine as an owner, or `None` as [`OwnerId::current`] does.
    pub(crate) fn new(process: ProcessId) -> Option<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
        Some(Self {
            boot: boot.trim().into(),
            namespace: namespace.display().to_string(),
            process,
        })
    }

    /// Returns its label.
    pub(crate) fn label(&self) -> String {
        let ProcessId { pid, started } = self.process;
        format!("{}/{}/{pid}/{started}", self.boot, self.namespace)
    }

    /// Returns the owner with this label, or `None` if it is not a label.
    pub(crate) fn from_label(label: &str) -> Option<Self> {
        let mut parts = label.split('/');
        Some(Self {
            boot: parts.next()?.into(),
            namespace: parts.next()?.into(),
            process: ProcessId {
                pid: parts.next()?.parse().ok()?,
                started: parts.next()?.parse().ok()?,
            },
        })
    }

    /// Returns its PID, in its own process-id namespace.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid
    }

    /// Returns its state, as seen by `this`.
    pub(crate) fn state(&self, this: &Self) -> OwnerState {
        if self.boot != this.boot {
            return OwnerState::OtherBoot;
        }
        if self.namespace != this.namespace {
            return OwnerState::MayLive;
        }
        match Process::new(self.pid()).and_then(|process| process.stat()) {
            Ok(stat) if ProcessId::from(&stat) == self.process && is_alive(&stat) => {
                OwnerState::MayLive
            }
            Ok(_) | Err(procfs::ProcError::NotFound(_)) => OwnerState::Exited,
            Err(_) => OwnerState::MayLive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_identified_by_process_start_and_boot() {
        let this = OwnerId::current().expect("Linux");
        assert_eq!(OwnerId::from_label(&this.label()), Some(this.clone()));
        assert_eq!(OwnerId::from_label("a/b"), None);
        assert_eq!(this.state(&this), OwnerState::MayLive);
        let process = this.process;
        let reused = OwnerId {
            process: ProcessId {
                started: process.started + 1,
                ..process
            },
            ..this.clone()
        };
        assert_eq!(reused.state(&this), OwnerState::Exited);
        let never = ProcessId {
            pid: i32::MAX,
            ..process
        };
        let exited = OwnerId {
            process: never,
            ..this.clone()
        };
        assert_eq!(exited.state(&this), OwnerState::Exited);
        let unseen = OwnerId {
            namespace: "pid:[1]".into(),
            process: never,
            ..this.clone()
        };
        assert_eq!(unseen.state(&this), OwnerState::MayLive);
        let earlier = OwnerId {
            boot: "another".into(),
            ..this.clone()
        };
        assert_eq!(earlier.state(&this), OwnerState::OtherBoot);
    }
}
