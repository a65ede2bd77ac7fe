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
const REPEAT_TIME: Duration = Duration::from_secs(1);

/// The kind of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopSignal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM or SIGHUP.
    Termination,
}

/// The incoming signals.
pub(super) struct Incoming {
    interrupts: Signal,
    terminations: Signal,
    hangups: Option<Signal>,
}

impl Incoming {
    /// Starts to listen, on a runtime. Returns `None` if the system refuses.
    pub(super) fn listen() -> Option<Self> {
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
    pub(super) async fn next(&mut self) -> StopSignal {
        let hangup = async {
            match &mut self.hangups {
                Some(hangups) => hangups.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupts.recv() => StopSignal::Interrupt,
            _ = self.terminations.recv() => StopSignal::Termination,
            _ = hangup => StopSignal::Termination,
        }
    }
}

/// The position of a signal among those received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignalOrder {
    /// The first.
    First,
    /// The first signal, sent again within a second.
    Repeated,
    /// A second signal.
    Second,
}

/// Distinguishes a second signal from one that was sent twice.
#[derive(Default)]
pub(super) struct SignalCounter {
    first: Option<Instant>,
}

impl SignalCounter {
    /// Records a signal, and returns its position.
    pub(super) fn next(&mut self) -> SignalOrder {
        match self.first {
            None => {
                self.first = Some(Instant::now());
                SignalOrder::First
            }
            Some(first) if first.elapsed() < REPEAT_TIME => SignalOrder::Repeated,
            Some(_) => SignalOrder::Second,
        }
    }
}

/// Cancels the work at the first signal, and shows what it is `doing` then. Exits at a second
/// signal, at least one second later; the watchdogs then kill the processes of lmrun.
pub(super) async fn cancel_on_signal(
    cancel: CancellationToken,
    doing: &'static str,
    tell: impl Fn(&str) + Send,
) {
    let Some(mut incoming) = Incoming::listen() else {
        return;
    };
    let mut turns = SignalCounter::default();
    loop {
        incoming.next().await;
        match turns.next() {
            SignalOrder::First => {
                tell(&format!(
                    "interrupted: {doing}; interrupt again to exit at once"
                ));
                cancel.cancel();
            }
            SignalOrder::Repeated => {}
            SignalOrder::Second => kill(),
        }
    }
}

/// Exits at once. The watchdogs kill the processes of lmrun.
pub(super) fn kill() -> ! {
    say("killed");
    std::process::exit(i32::from(Code::Interrupted.exit()))
}

/// Writes a line to standard error, unless that would block: a stalled terminal must not delay the
/// exit.
pub(super) fn say(text: &str) {
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
