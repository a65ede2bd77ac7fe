//! Whether a port is free, and who has it otherwise.

use super::text::printable;
use procfs::net::TcpState;
use procfs::process::FDTarget;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, ToSocketAddrs};
use std::time::Duration;

/// Who answers at an address that should have been free; `None` when it is free, or when that cannot be
/// tried from here: a port that only others may have.
pub async fn occupant(host: &str, port: u16) -> Option<String> {
    let taken = TcpListener::bind((host, port)).err()?;
    if taken.kind() != std::io::ErrorKind::AddrInUse {
        return None;
    }
    Some(
        match super::probe::models(&format!("http://{host}:{port}"), Duration::from_secs(2)).await {
            Ok(models) => format!(
                "an HTTP server that serves {}",
                super::probe::named(&models)
            ),
            Err(
                super::probe::ProbeError::Status { status, .. }
                | super::probe::ProbeError::Moved { status, .. },
            ) => {
                format!("an HTTP server that answers {status} to /v1/models")
            }
            Err(super::probe::ProbeError::Body { .. }) => {
                "an HTTP server that serves no models".into()
            }
            Err(super::probe::ProbeError::Unreachable { .. }) => {
                "a process that does not speak HTTP".into()
            }
        },
    )
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
    let tables = procfs::net::tcp()
        .into_iter()
        .chain(procfs::net::tcp6())
        .flatten();
    let mut listening = tables
        .filter(|entry| entry.state == TcpState::Listen && entry.local_address.port() == port);
    match listening.next() {
        Some(entry) => Use::Taken {
            by: owner_of(entry.inode),
        },
        None => Use::Free,
    }
}

/// The process that answers at an address of this machine, seen from an owner of processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answering {
    /// One of the owner's.
    Ours,
    /// Another process, as `process 1234 python3`.
    Other(String),
    /// A process that cannot be seen from here.
    Unknown,
}

/// Finds out which process answers at `host` and `port`, and whether it is one of `members`. If several sockets
/// share the port, any may get a connection.
pub fn answering(host: &str, port: u16, members: &[i32]) -> Answering {
    let inodes = listening(host, port);
    let mut answer = if inodes.is_empty() {
        Answering::Unknown
    } else {
        Answering::Ours
    };
    for inode in inodes
        .into_iter()
        .filter(|inode| !members.iter().any(|pid| has_socket(*pid, *inode)))
    {
        match owner_of(inode).filter(|(pid, name)| is_comparable(*pid, name)) {
            Some((pid, name)) => return Answering::Other(format!("process {pid} {name}")),
            None => answer = Answering::Unknown,
        }
    }
    answer
}

/// The sockets that the kernel chooses from for a connection to `host` and `port`: those of exactly this address,
/// else those of every address.
fn listening(host: &str, port: u16) -> Vec<u64> {
    let tables = procfs::net::tcp()
        .into_iter()
        .chain(procfs::net::tcp6())
        .flatten();
    let sockets = tables
        .filter(|entry| entry.state == TcpState::Listen && entry.local_address.port() == port);
    let sockets: Vec<(IpAddr, u64)> = sockets
        .map(|entry| (entry.local_address.ip().to_canonical(), entry.inode))
        .collect();
    let of = |wanted: IpAddr| {
        sockets
            .iter()
            .filter(|(ip, _)| *ip == wanted)
            .map(|(_, inode)| *inode)
            .collect::<Vec<_>>()
    };
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let chosen = |ip: IpAddr| match ip {
        IpAddr::V4(_) => [of(ip), of(any[0]), of(any[1])],
        IpAddr::V6(_) => [of(ip), of(any[1]), Vec::new()],
    };
    let addresses = (host, port).to_socket_addrs().into_iter().flatten();
    addresses
        .filter_map(|to| chosen(to.ip()).into_iter().find(|found| !found.is_empty()))
        .flatten()
        .collect()
}

fn has_socket(pid: i32, inode: u64) -> bool {
    let files = procfs::process::Process::new(pid).and_then(|process| process.fd());
    files.is_ok_and(|files| {
        files
            .flatten()
            .any(|file| file.target == FDTarget::Socket(inode))
    })
}

/// Returns false for a process of a container, or one that listens for it: its container is unknown.
fn is_comparable(pid: i32, name: &str) -> bool {
    let namespace = |pid: String| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    name != "docker-proxy" && namespace(pid.to_string()) == namespace("self".into())
}

/// The process that has a socket.
fn owner_of(inode: u64) -> Option<(i32, String)> {
    let mut all = procfs::process::all_processes().ok()?.flatten();
    let owner = all.find(|process| has_socket(process.pid, inode))?;
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
        assert_eq!(
            occupant("192.0.2.1", port).await,
            None,
            "an address of nobody's here"
        );
    }

    #[test]
    fn the_socket_of_the_exact_address_answers() {
        let [us, other] = [std::process::id() as i32, 1];
        let here = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = here.local_addr().expect("its address").port();
        assert_eq!(answering("127.0.0.1", port, &[us]), Answering::Ours);
        assert_eq!(answering("localhost", port, &[us]), Answering::Ours);
        assert_eq!(
            answering("127.0.0.2", port, &[us]),
            Answering::Unknown,
            "nothing listens there"
        );
        let name = crate::driver::tree::name_of(us).expect("a name");
        assert_eq!(
            answering("127.0.0.1", port, &[other]),
            Answering::Other(format!("process {us} {name}"))
        );
        let everywhere = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = everywhere.local_addr().expect("its address").port();
        assert_eq!(answering("127.0.0.1", port, &[us]), Answering::Ours);
        drop(everywhere);
        assert_eq!(answering("127.0.0.1", port, &[us]), Answering::Unknown);
    }

    #[test]
    fn a_port_is_held_by_a_process() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let Use::Taken { by: Some((pid, _)) } = used_by(port) else {
            panic!("{:?}", used_by(port))
        };
        assert_eq!(pid, std::process::id() as i32);
        drop(listener);
        assert_eq!(used_by(port), Use::Free);
    }
}
