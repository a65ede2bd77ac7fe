//! Whether a port is free, and who has it otherwise.

use super::text::printable;
use procfs::net::TcpState;
use procfs::process::FDTarget;
use std::net::TcpListener;
use std::time::Duration;

/// Who answers at an address that should have been free; `None` when it is free, or when that cannot be
/// tried from here: a port that only others may have.
pub async fn occupant(host: &str, port: u16) -> Option<String> {
    let taken = TcpListener::bind((host, port)).err()?;
    if taken.kind() != std::io::ErrorKind::AddrInUse {
        return None;
    }
    Some(match super::probe::models(&format!("http://{host}:{port}"), Duration::from_secs(2)).await {
        Ok(models) => format!("an HTTP server that serves {}", super::probe::named(&models)),
        Err(
            super::probe::ProbeError::Status { status, .. } | super::probe::ProbeError::Moved { status, .. },
        ) => {
            format!("an HTTP server that answers {status} to /v1/models")
        }
        Err(super::probe::ProbeError::Body { .. }) => "an HTTP server that serves no models".into(),
        Err(super::probe::ProbeError::Unreachable { .. }) => "a process that does not speak HTTP".into(),
    })
}

/// A port that is free now, and none of `taken`, which may not be bound yet.
///
/// # Errors
/// When the system has none left.
pub fn free(host: &str, taken: &[u16]) -> std::io::Result<u16> {
    loop {
        // The system draws it at random.
        let port = TcpListener::bind((host, 0))?.local_addr()?.port();
        if !taken.contains(&port) {
            return Ok(port);
        }
    }
}

/// Whether a port of this machine is taken, and by which process, as far as that can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// Nobody listens.
    Free,
    /// Somebody listens.
    Taken {
        /// Its process id and its name; `None` for a process of another user.
        by: Option<(i32, String)>,
    },
}

/// Who listens on `port`, whatever the address.
pub fn used_by(port: u16) -> Use {
    let tables = procfs::net::tcp().into_iter().chain(procfs::net::tcp6()).flatten();
    let mut listening =
        tables.filter(|entry| entry.state == TcpState::Listen && entry.local_address.port() == port);
    match listening.next() {
        Some(entry) => Use::Taken { by: owner_of(entry.inode) },
        None => Use::Free,
    }
}

/// The process that has a socket.
fn owner_of(inode: u64) -> Option<(i32, String)> {
    let has = |process: &procfs::process::Process| {
        let files = process.fd().ok()?;
        files.flatten().find(|file| file.target == FDTarget::Socket(inode))
    };
    let mut all = procfs::process::all_processes().ok()?.flatten();
    let owner = all.find(|process| has(process).is_some())?;
    Some((owner.pid, printable(&owner.stat().ok()?.comm)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_cannot_be_tried_is_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let silent = "a process that does not speak HTTP";
        assert_eq!(occupant("127.0.0.1", port).await.as_deref(), Some(silent));
        assert_eq!(occupant("192.0.2.1", port).await, None, "an address of nobody's here");
    }

    #[test]
    fn a_port_is_held_by_a_process() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let Use::Taken { by: Some((pid, _)) } = used_by(port) else { panic!("{:?}", used_by(port)) };
        assert_eq!(pid, std::process::id() as i32);
        drop(listener);
        assert_eq!(used_by(port), Use::Free);
    }
}
