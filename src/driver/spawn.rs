//! The thread that starts processes, and the list of those that it has started.
//!
//! A parent-death signal is bound to the thread that forked, not to its process. So one thread,
//! which lives as long as this process, starts all watchdogs.

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

type Task = Box<dyn FnOnce() + Send>;

static SPAWN_THREAD: LazyLock<Sender<Task>> = LazyLock::new(|| {
    let (sender, tasks) = channel::<Task>();
    // Without a thread the channel is closed, and the sender gets an error.
    let _ = std::thread::Builder::new()
        .name("spawn".into())
        .spawn(move || tasks.iter().for_each(|task| task()));
    sender
});

/// The PIDs of the children that were started here and are not reaped yet.
static CHILDREN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Starts `command` as the leader of a new session. The kernel sends it SIGCONT when this process
/// exits. Must be called on a tokio runtime.
///
/// # Errors
/// Fails if the system cannot start the process.
pub(crate) fn spawn(mut command: Command) -> Result<Child> {
    start_session(&mut command);
    signal_on_parent_death(&mut command, Signal::SIGCONT);
    let runtime = tokio::runtime::Handle::current();
    let (sender, started) = channel();
    let task = Box::new(move || {
        let _entered = runtime.enter();
        // Hold the lock before the child exists: an unlisted child would be taken for an orphan.
        let mut children = CHILDREN.lock();
        let child = tokio::process::Command::from(command).spawn();
        children.extend(child.iter().filter_map(Child::id).map(|pid| pid as i32));
        let _ = sender.send(child); // the caller waits for it
    });
    SPAWN_THREAD
        .send(task)
        .map_err(|_| Error::other("the system cannot start a thread"))?;
    started.recv().map_err(Error::other)?
}

/// Waits until a child that was started here has exited, and removes it from the list. Returns true
/// if its exit code is 0.
pub(crate) async fn reap(mut child: Child) -> bool {
    let pid = child.id();
    let status = child.wait().await;
    if let Some(pid) = pid {
        CHILDREN.lock().remove(&(pid as i32));
    }
    status.is_ok_and(|status| status.success())
}

/// Returns the PIDs of the children that were started here. While the list is locked, no child is
/// added.
pub(crate) fn children() -> MutexGuard<'static, BTreeSet<i32>> {
    CHILDREN.lock()
}

/// Makes `command` lead a new session.
#[expect(
    unsafe_code,
    reason = "pre_exec is the only way to call setsid in the child"
)]
pub(crate) fn start_session(command: &mut Command) {
    // SAFETY: between fork and exec only a system call is made, and nothing is allocated.
    unsafe { command.pre_exec(|| setsid().map(|_| ()).map_err(Into::into)) };
}

/// Makes the kernel send `signal` to the process of `command` when the thread that starts it exits.
#[expect(
    unsafe_code,
    reason = "pre_exec is the only way to call prctl in the child"
)]
pub(crate) fn signal_on_parent_death(command: &mut Command, signal: Signal) {
    let parent = getpid();
    let set_signal = move || {
        prctl::set_pdeathsig(signal)?;
        // If the parent has exited already, the signal was missed.
        if getppid() == parent {
            Ok(())
        } else {
            Err(nix::errno::Errno::ESRCH.into())
        }
    };
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(set_signal) };
}
