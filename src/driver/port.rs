//! Ports: free ones, and the processes that use the others.

use super::probe::{self, ProbeError};
use super::text::printable;
use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, ToSocketAddrs};
use std::time::Duration;

/// The time within which a server must answer the question for its models.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Describes the program that uses a port. Returns `None` if the port is free, or if this process
/// may not bind it at all.
pub(crate) async fn occupant(host: &str, port: u16) -> Option<String> {
    let error = TcpListener::bind((host, port)).err()?;
    if error.kind() != ErrorKind::AddrInUse {
        return None;
    }
    let base = format!("http://{host}:{port}");
    Some(match probe::models(&base, ANSWER_TIMEOUT).await {
        Ok(models) => format!("an HTTP server that serves {}", probe::quoted_list(&models)),
        Err(ProbeError::Status { status, .. } | ProbeError::Moved { status, .. }) => {
            format!("an HTTP server that answers {status} to /v1/models")
        }
        Err(ProbeError::Body { .. }) => "an HTTP server that serves no models".into(),
        Err(ProbeError::Unreachable { .. }) => "a process that does not speak HTTP".into(),
    })
}

/// Returns a free port that is not in `taken`, the ports that are assigned but may not be bound
/// yet.
///
/// # Errors
/// Fails if the system has no free port.
pub(crate) fn find_free(host: &str, taken: &[u16]) -> std::io::Result<u16> {
    loop {
        // The system chooses it at random.
        let port = TcpListener::bind((host, 0))?.local_addr()?.port();
        if !taken.contains(&port) {
            return Ok(port);
        }
    }
}

/// The use of a port of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PortUse {
    /// No process listens.
    Free,
    /// A process listens.
    Taken {
        /// Its PID and its name; `None` for a process of another user.
        by: Option<(i32, String)>,
    },
}

/// Returns the use of `port`, on any address.
pub(crate) fn use_of(port: u16) -> PortUse {
    match listening_entries(port).next() {
        Some(entry) => PortUse::Taken {
            by: socket_owner(entry.inode),
        },
        None => PortUse::Free,
    }
}

/// The process that answers at an address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answering {
    /// A member of the process tree in question.
    Member,
    /// Another process, as `process 1234 python3`.
    Other(String),
    /// A process that cannot be seen from here.
    Unknown,
}

/// Finds the process that answers at `host` and `port`. If several sockets share the port, any of
/// them may get a connection, so all must belong to `members`.
pub(crate) fn answering(host: &str, port: u16, members: &[i32]) -> Answering {
    let inodes = listening_sockets(host, port);
    let mut answer = if inodes.is_empty() {
        Answering::Unknown
    } else {
        Answering::Member
    };
    for inode in inodes {
        if members.iter().any(|pid| has_socket(*pid, inode)) {
            continue;
        }
        match socket_owner(inode) {
            Some((pid, name)) if is_comparable(pid, &name) => {
                return Answering::Other(format!("process {pid} {name}"));
            }
            _ => answer = Answering::Unknown,
        }
    }
    answer
}

/// Returns the sockets that the kernel chooses from for a connection to `host` and `port`: those
/// bound to exactly this address, or else those bound to every address.
fn listening_sockets(host: &str, port: u16) -> Vec<u64> {
    const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let entries: Vec<TcpNetEntry> = listening_entries(port).collect();
    let mut found = Vec::new();
    for address in (host, port).to_socket_addrs().into_iter().flatten() {
        let candidates = match address.ip() {
            ip @ IpAddr::V4(_) => [Some(ip), Some(ANY_V4), Some(ANY_V6)],
            ip @ IpAddr::V6(_) => [Some(ip), Some(ANY_V6), None],
        };
        for ip in candidates.into_iter().flatten() {
            let before = found.len();
            found.extend(
                entries
                    .iter()
                    .filter(|entry| entry.local_address.ip().to_canonical() == ip)
                    .map(|entry| entry.inode),
            );
            if found.len() > before {
                break;
            }
        }
    }
    found
}

fn listening_entries(port: u16) -> impl Iterator<Item = TcpNetEntry> {
    procfs::net::tcp()
        .into_iter()
        .chain(procfs::net::tcp6())
        .flatten()
        .filter(move |entry| entry.state == TcpState::Listen && entry.local_address.port() == port)
}

fn has_socket(pid: i32, inode: u64) -> bool {
    let files = Process::new(pid).and_then(|process| process.fd());
    files.is_ok_and(|files| {
        files
            .flatten()
            .any(|file| file.target == FDTarget::Socket(inode))
    })
}

/// Returns false for a process in a container, or one that listens for a container: the container
/// is unknown.
fn is_comparable(pid: i32, name: &str) -> bool {
    name != "docker-proxy" && pid_namespace(&pid.to_string()) == pid_namespace("self")
}

fn pid_namespace(pid: &str) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// Returns the PID and the name of the process that has a socket.
fn socket_owner(inode: u64) -> Option<(i32, String)> {
    let mut all = procfs::process::all_processes().ok()?.flatten();
    let owner = all.find(|process| has_socket(process.pid, inode))?;
    Some((owner.pid, printable(&owner.stat().ok()?.comm)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_of_another_machine_has_no_occupant() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let silent = "a process that does not speak HTTP";
        assert_eq!(occupant("127.0.0.1", port).await.as_deref(), Some(silent));
        assert_eq!(
            occupant("192.0.2.1", port).await,
            None,
            "not an address of this machine"
        );
    }

    #[test]
    fn answering_finds_the_socket_of_the_exact_address() {
        let [us, other] = [std::process::id() as i32, 1];
        let here = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = here.local_addr().expect("its address").port();
        assert_eq!(answering("127.0.0.1", port, &[us]), Answering::Member);
        assert_eq!(answering("localhost", port, &[us]), Answering::Member);
        assert_eq!(
            answering("127.0.0.2", port, &[us]),
            Answering::Unknown,
            "nothing listens there"
        );
        let name = crate::driver::process_id::program_name(us).expect("a name");
        assert_eq!(
            answering("127.0.0.1", port, &[other]),
            Answering::Other(format!("process {us} {name}"))
        );
        let everywhere = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = everywhere.local_addr().expect("its address").port();
        assert_eq!(answering("127.0.0.1", port, &[us]), Answering::Member);
        drop(everywhere);
        assert_eq!(answering("127.0.0.1", port, &[us]), Answering::Unknown);
    }

    #[test]
    fn use_of_finds_the_listening_process() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let PortUse::Taken { by: Some((pid, _)) } = use_of(port) else {
            panic!("{:?}", use_of(port))
        };
        assert_eq!(pid, std::process::id() as i32);
        drop(listener);
        assert_eq!(use_of(port), PortUse::Free);
    }
}
