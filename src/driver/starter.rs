//! The thread that starts processes, and the list of those that it has started.
//!
//! A parent-death signal is bound to the thread that forked, not to its process. So all watchdogs are
//! started by one thread, which lives as long as this process.

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid, setsid};
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::io::{Error, Result};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use tokio::process::Child;

type Work = Box<dyn FnOnce() + Send>;

static STARTER: LazyLock<Sender<Work>> = LazyLock::new(|| {
    let (sender, work) = channel::<Work>();
    // Without a thread the channel is closed, and the sender gets an error.
    let _ = std::thread::Builder::new()
        .name("starter".into())
        .spawn(move || work.iter().for_each(|work| work()));
    sender
});

/// The process ids of the children that were started here and are not collected yet.
static CHILDREN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Starts `command` as the leader of a new session. The kernel continues it when this process ends. Must
/// be called on a tokio runtime.
///
/// # Errors
/// When the system refuses.
pub fn start(mut command: Command) -> Result<Child> {
    in_own_session(&mut command);
    when_we_end(&mut command, Signal::SIGCONT);
    let runtime = tokio::runtime::Handle::current();
    let (sender, started) = channel();
    let work = move || {
        let _on = runtime.enter();
        // The lock is held before the child exists: an unlisted child would be mistaken for an orphan.
        let mut children = CHILDREN.lock();
        let child = tokio::process::Command::from(command).spawn();
        children.extend(child.iter().filter_map(Child::id).map(|pid| pid as i32));
        let _ = sender.send(child); // the caller waits for it
    };
    STARTER
        .send(Box::new(work))
        .map_err(|_| Error::other("the system gives no thread"))?;
    started.recv().map_err(Error::other)?
}

/// Waits until a child that was started here has ended, and takes it off the list. Returns true if it ended
/// with 0.
pub async fn collect(mut child: Child) -> bool {
    let pid = child.id();
    let status = child.wait().await;
    if let Some(pid) = pid {
        CHILDREN.lock().remove(&(pid as i32));
    }
    status.is_ok_and(|status| status.success())
}

/// The children that were started here. While the list is held, no child is added.
pub fn children() -> MutexGuard<'static, BTreeSet<i32>> {
    CHILDREN.lock()
}

/// Lets `command` lead a session.
#[expect(
    unsafe_code,
    reason = "pre_exec is the only door to setsid in the child"
)]
pub fn in_own_session(command: &mut Command) {
    // SAFETY: between fork and exec only a system call is made, and nothing is allocated.
    unsafe { command.pre_exec(|| setsid().map(|_| ()).map_err(Into::into)) };
}

/// Makes the kernel send `signal` to the process of `command` when the thread that starts it ends.
#[expect(
    unsafe_code,
    reason = "pre_exec is the only door to prctl in the child"
)]
pub fn when_we_end(command: &mut Command, signal: Signal) {
    let us = getpid();
    let setup = move || {
        prctl::set_pdeathsig(signal)?;
        // We may be dead already: then the signal was missed.
        if getppid() == us {
            Ok(())
        } else {
            Err(nix::errno::Errno::ESRCH.into())
        }
    };
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(setup) };
}
