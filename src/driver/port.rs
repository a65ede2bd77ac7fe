//! Whether a port is free, and who has it otherwise.

use std::net::TcpListener;
use std::time::Duration;

/// Who answers at an address that should have been free; `None` when it is free.
pub async fn occupant(host: &str, port: u16) -> Option<String> {
    if TcpListener::bind((host, port)).is_ok() {
        return None;
    }
    Some(match super::probe::models(&format!("http://{host}:{port}"), Duration::from_secs(2)).await {
        Ok(models) => format!("an HTTP server that serves {}", super::probe::named(&models)),
        Err(super::probe::ProbeError::Status { status, .. }) => {
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
