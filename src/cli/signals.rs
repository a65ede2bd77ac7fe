//! Signals that end lmrun: Ctrl-C, SIGTERM, and SIGHUP unless `nohup` ignores it.

use crate::core::Code;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::future::pending;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The time in which a second signal counts as the first: timeout(1) signals its child and then its
/// group.
const SAME: Duration = Duration::from_secs(1);

/// The kind of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM or SIGHUP.
    Termination,
}

/// The incoming signals.
pub struct Incoming {
    interrupts: Signal,
    terminations: Signal,
    hangups: Option<Signal>,
}

impl Incoming {
    /// Starts to listen, on a runtime. Returns `None` if the system refuses.
    pub fn listen() -> Option<Self> {
        let hangups = if is_hangup_ignored() {
            None
        } else {
            Some(signal(SignalKind::hangup()).ok()?)
        };
        let interrupts = signal(SignalKind::interrupt()).ok()?;
        Some(Self {
            interrupts,
            terminations: signal(SignalKind::terminate()).ok()?,
            hangups,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Kind {
        let hangup = async {
            match &mut self.hangups {
                Some(hangups) => hangups.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupts.recv() => Kind::Interrupt,
            _ = self.terminations.recv() => Kind::Termination,
            _ = hangup => Kind::Termination,
        }
    }
}

/// The position of a signal among those received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The first.
    First,
    /// The first signal, sent again within a second.
    Same,
    /// A second signal.
    Second,
}

/// Distinguishes a second signal from one that was sent twice.
#[derive(Default)]
pub struct Turns {
    first: Option<Instant>,
}

impl Turns {
    /// Records a signal, and returns its position.
    pub fn next(&mut self) -> Turn {
        match self.first {
            None => {
                self.first = Some(Instant::now());
                Turn::First
            }
            Some(first) if first.elapsed() < SAME => Turn::Same,
            Some(_) => Turn::Second,
        }
    }
}

/// Cancels the work at the first signal, and shows what it is `doing` then. Exits at a second
/// signal, at least one second later; the watchdogs then kill the processes of lmrun.
pub async fn heed(cancel: CancellationToken, doing: &'static str, tell: impl Fn(&str) + Send) {
    let Some(mut incoming) = Incoming::listen() else {
        return;
    };
    let mut turns = Turns::default();
    loop {
        incoming.next().await;
        match turns.next() {
            Turn::First => {
                tell(&format!(
                    "interrupted: {doing}; interrupt again to exit at once"
                ));
                cancel.cancel();
            }
            Turn::Same => {}
            Turn::Second => kill(),
        }
    }
}

/// Exits at once. The watchdogs kill the processes of lmrun.
pub fn kill() -> ! {
    say("killed");
    std::process::exit(i32::from(Code::Interrupted.exit()))
}

/// Writes a line to standard error, unless that would block: a stalled terminal must not delay the
/// exit.
pub fn say(text: &str) {
    let stderr = std::io::stderr();
    let mut polled = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
        let _ = nix::unistd::write(&stderr, format!("{text}\n").as_bytes());
    }
}

/// Returns true if this process was started with SIGHUP ignored.
fn is_hangup_ignored() -> bool {
    const HANGUP: u64 = 1 << (nix::libc::SIGHUP - 1);
    let status = procfs::process::Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.sigign & HANGUP != 0)
}
