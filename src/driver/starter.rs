//! The thread that starts processes.
//!
//! A parent-death signal is bound to the thread that forked, not to its process. So all engines are
//! started by one thread, which lives as long as this process: when lmrun ends, however it ends, the
//! kernel kills the leaders, and the watchdog what came from them.

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid, setsid};
use std::io::{Error, Result};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use tokio::process::Child;

type Work = Box<dyn FnOnce() + Send>;

static STARTER: LazyLock<Sender<Work>> = LazyLock::new(|| {
    let (sender, work) = channel::<Work>();
    // Without a thread the channel is closed, and whoever sends is told.
    let _ =
        std::thread::Builder::new().name("starter".into()).spawn(move || work.iter().for_each(|work| work()));
    sender
});

/// Starts `command` as the leader of a session of its own that does not outlive this process. Must
/// be called on a tokio runtime.
///
/// # Errors
/// When the system refuses.
pub fn start(mut command: Command) -> Result<Child> {
    in_own_session(&mut command);
    dies_with_us(&mut command);
    let runtime = tokio::runtime::Handle::current();
    let (sender, started) = channel();
    let work = move || {
        let _on = runtime.enter();
        // Whoever asked waits for the answer.
        let _ = sender.send(tokio::process::Command::from(command).spawn());
    };
    STARTER.send(Box::new(work)).map_err(|_| Error::other("the system gives no thread"))?;
    started.recv().map_err(Error::other)?
}

/// Lets `command` lead a session.
#[expect(unsafe_code, reason = "pre_exec is the only door to setsid in the child")]
pub fn in_own_session(command: &mut Command) {
    // SAFETY: between fork and exec only a system call is made, and nothing is allocated.
    unsafe { command.pre_exec(|| setsid().map(|_| ()).map_err(Into::into)) };
}

#[expect(unsafe_code, reason = "pre_exec is the only door to prctl in the child")]
fn dies_with_us(command: &mut Command) {
    let us = getpid();
    let setup = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // We may be dead already: then the signal was missed.
        if getppid() == us { Ok(()) } else { Err(nix::errno::Errno::ESRCH.into()) }
    };
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(setup) };
}
