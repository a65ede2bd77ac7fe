//! Signals that end lmrun: Ctrl-C, SIGTERM, and SIGHUP unless it was ignored at the start, as `nohup` does.

use crate::core::Code;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::future::pending;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A second signal within this time counts as the first: timeout(1) signals its child, and then its group.
const SAME: Duration = Duration::from_secs(1);

/// The request that a signal makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ctrl-C.
    Interrupt,
    /// The end: SIGTERM or SIGHUP.
    Termination,
}

/// The signals that come in.
pub struct Incoming {
    interrupts: Signal,
    terminations: Signal,
    hangups: Option<Signal>,
}

impl Incoming {
    /// Listens from now on; `None` if the system does not let it. It takes a runtime.
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

    /// Waits for the next.
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

/// The position of a signal among those that came.
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

/// Ends the work in order at the first signal, and says `doing` with `tell`. At a second, a second later or
/// more, this process ends at once, and the watchdog kills the processes that it leaves.
pub async fn heed(cancel: CancellationToken, doing: &'static str, tell: impl Fn(&str) + Send) {
    let Some(mut incoming) = Incoming::listen() else {
        return;
    };
    let mut turns = Turns::default();
    loop {
        incoming.next().await;
        match turns.next() {
            Turn::First => {
                tell(&format!("interrupted: {doing}; once more kills at once"));
                cancel.cancel();
            }
            Turn::Same => {}
            Turn::Second => kill(),
        }
    }
}

/// Ends this process at once. The watchdog kills the processes that it leaves.
pub fn kill() -> ! {
    say("killed");
    std::process::exit(i32::from(Code::Interrupted.exit()))
}

/// Writes a text to standard error if it takes one now: a stalled terminal must not delay the end.
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
