//! Signals that end lmrun: Ctrl-C, SIGTERM, and SIGHUP unless it was ignored at the start, as `nohup` does.

use crate::bench::Code;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::future::pending;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A second signal within this time is the first again: timeout(1) signals its child, and then its group.
const SAME: Duration = Duration::from_secs(1);

/// What a signal asks for.
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
        let hangups = if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup()).ok()?) };
        let interrupts = signal(SignalKind::interrupt()).ok()?;
        Some(Self { interrupts, terminations: signal(SignalKind::terminate()).ok()?, hangups })
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

/// Which signal one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The first.
    First,
    /// The first once more.
    Same,
    /// A second.
    Second,
}

/// Tells a second signal from one that comes twice.
#[derive(Default)]
pub struct Turns {
    first: Option<Instant>,
}

impl Turns {
    /// Notes a signal.
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

/// The first signal ends the work in order, `doing` what it says. At a second, a second later or more, this
/// process ends at once, and the watchdog kills what it leaves. `tell` is given what to say.
pub async fn heed(cancel: CancellationToken, doing: &'static str, tell: impl Fn(&str) + Send) {
    let Some(mut incoming) = Incoming::listen() else { return };
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

/// This process ends at once, and the watchdog kills what it leaves.
pub fn kill() -> ! {
    say("killed");
    std::process::exit(i32::from(Code::Interrupted.exit()))
}

/// Says something if standard error takes it now: a terminal that is stalled holds nothing up.
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
