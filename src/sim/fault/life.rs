//! Faults of the engine's process.

use super::{Fault, Faults};
use std::future::{Future, pending};
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The interval between two writes to a flooded log.
const FLOOD_INTERVAL: Duration = Duration::from_millis(10);

/// Starts the faults that happen before the engine at `port` serves.
///
/// # Errors
/// Fails if the system does not start a process or a thread.
pub(crate) fn start(faults: &Faults, port: u16) -> io::Result<()> {
    for fault in &faults.0 {
        match fault {
            Fault::DieAtStart => die("at the start"),
            Fault::Grandchild => spawn_orphan("setsid", port)?,
            Fault::Orphan => spawn_orphan("setsid --fork", port)?,
            Fault::FloodLog(bytes_per_s) => flood(*bytes_per_s)?,
            _ => {}
        }
    }
    Ok(())
}

impl Faults {
    /// Exits if a fault is set for the request with this number.
    pub(crate) fn die_at_request(&self, number: u64) {
        if self.has(Fault::DieAtRequest(number)) {
            die(&format!("at request {number}"));
        }
    }
}

/// Waits for `shutdown`. Never returns if the engine has the fault to ignore it.
pub(crate) async fn outlast(shutdown: impl Future<Output = ()>, faults: &Faults) {
    shutdown.await;
    if faults.has(Fault::IgnoreInterrupts) {
        pending::<()>().await;
    }
}

fn die(when: &str) {
    eprintln!("RuntimeError: died {when}, on purpose");
    std::process::exit(1);
}

/// Starts a process that outlives the engine. Its command line contains the port, so that tests
/// find it.
fn spawn_orphan(launcher: &str, port: u16) -> io::Result<()> {
    let script = format!(
        "exec {launcher} sh -c 'trap \"\" INT TERM HUP; sleep 600; : left by --port {port}'"
    );
    let child = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // The fault is that the engine does not wait for the process.
    drop(child);
    Ok(())
}

fn flood(bytes_per_s: u64) -> io::Result<()> {
    let line = format!(
        "INFO 01-01 00:00:00 [flood.py:1] {}\n",
        "on purpose ".repeat(20)
    );
    let lines = bytes_per_s / 100 / line.len() as u64 + 1;
    let text = line.repeat(lines as usize);
    let write_until_closed = move || {
        while io::stdout().lock().write_all(text.as_bytes()).is_ok() {
            std::thread::sleep(FLOOD_INTERVAL);
        }
    };
    std::thread::Builder::new()
        .name("flood".to_owned())
        .spawn(write_until_closed)
        .map(drop)
}
