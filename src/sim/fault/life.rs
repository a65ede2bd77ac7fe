//! Processes that do not live as they should.

use super::{Fault, Faults};
use std::future::{Future, pending};
use std::io::{self, Write};
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

/// How often a flooded log gets more.
const EVERY: Duration = Duration::from_millis(10);

/// Does what is to go wrong before the engine at `port` serves.
///
/// # Errors
/// When the system gives no process or thread to go wrong with.
pub fn begin(faults: &Faults, port: u16) -> io::Result<()> {
    for fault in &faults.0 {
        match fault {
            Fault::DieAtStart => die("at the start"),
            Fault::Grandchild => leave("setsid", port)?,
            Fault::Orphan => leave("setsid --fork", port)?,
            Fault::FloodLog(bytes_per_s) => flood(*bytes_per_s)?,
            _ => {}
        }
    }
    Ok(())
}

impl Faults {
    /// Ends the process if it is to end at the request of this number.
    pub fn meet(&self, number: u64) {
        if self.has(Fault::DieAtRequest(number)) {
            die(&format!("at request {number}"));
        }
    }
}

/// Resolves after `shutdown`, or never where the engine is to outlast it.
pub async fn outlast(shutdown: impl Future<Output = ()>, faults: &Faults) {
    let stays = faults.has(Fault::IgnoreInterrupts);
    shutdown.await;
    if stays {
        pending::<()>().await;
    }
}

fn die(when: &str) {
    eprintln!("RuntimeError: died {when}, on purpose");
    std::process::exit(1);
}

/// Starts a process that nobody waits for. The port in its command tells whose it is.
fn leave(how: &str, port: u16) -> io::Result<()> {
    let script =
        format!("exec {how} sh -c 'trap \"\" INT TERM HUP; sleep 600; : left by --port {port}'");
    let quiet = || Stdio::null();
    let child = Command::new("sh")
        .args(["-c", &script])
        .stdin(quiet())
        .stdout(quiet())
        .stderr(quiet())
        .spawn()?;
    // It is collected by whoever adopts it: that is the point.
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
    let pour = move || {
        // It stops when nobody takes the log any more.
        while io::stdout().lock().write_all(text.as_bytes()).is_ok() {
            std::thread::sleep(EVERY);
        }
    };
    std::thread::Builder::new()
        .name("flood".to_owned())
        .spawn(pour)
        .map(drop)
}
