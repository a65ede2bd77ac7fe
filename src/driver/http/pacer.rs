//! Waking at planned moments.
//!
//! tokio's timer has steps of a millisecond, which is late by half of one on average;
//! this is one `timerfd` and a heap of due moments a shard.

use crate::driver::clock::Stamp;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

/// A shard's alarm clock; clones share it.
#[derive(Clone)]
pub struct Pacer(Rc<Inner>);

struct Inner {
    timer: AsyncFd<Timer>,
    sleepers: RefCell<BinaryHeap<Reverse<Sleeper>>>,
}

/// nix's timer, as tokio wants it.
struct Timer(TimerFd);

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Pacer {
    /// Starts the alarm clock on the current `LocalSet`.
    pub fn start() -> std::io::Result<Self> {
        let pacer = Self(Rc::new(Inner {
            timer: timer()?,
            sleepers: RefCell::default(),
        }));
        let ringer = pacer.0.clone();
        // It rings until the shard ends, and with it this task.
        tokio::task::spawn_local(async move { while ringer.ring().await.is_ok() {} });
        Ok(pacer)
    }

    /// Waits until `due`; returns at once when it has passed.
    pub async fn sleep_until(&self, due: Stamp) {
        if due <= Stamp::now() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        self.0.push(Sleeper { due, wake });
        // The sender is dropped without a word only when the whole shard ends.
        let _ = woken.await;
    }
}

impl Inner {
    fn push(&self, sleeper: Sleeper) {
        let due = sleeper.due;
        let mut sleepers = self.sleepers.borrow_mut();
        let earliest = sleepers.peek().is_none_or(|Reverse(first)| due < first.due);
        sleepers.push(Reverse(sleeper));
        if earliest {
            self.set(due);
        }
    }

    /// Sets the timer. A moment that has passed rings at once.
    fn set(&self, due: Stamp) {
        let expiration = Expiration::OneShot(TimeSpec::nanoseconds(
            i64::try_from(due.0).unwrap_or(i64::MAX),
        ));
        let timer = &self.timer.get_ref().0;
        timer
            .set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            .expect("the timer takes any positive moment");
    }

    /// Waits for the timer once and wakes everybody who is due.
    async fn ring(&self) -> std::io::Result<()> {
        let mut guard = self.timer.readable().await?;
        // The count of expirations is of no use; reading it silences the timer.
        let _ = guard.try_io(|timer| Ok(timer.get_ref().0.wait()?));
        let mut sleepers = self.sleepers.borrow_mut();
        let now = Stamp::now();
        while sleepers
            .peek()
            .is_some_and(|Reverse(first)| first.due <= now)
        {
            if let Some(Reverse(sleeper)) = sleepers.pop() {
                let _ = sleeper.wake.send(()); // whoever slept may have been cancelled
            }
        }
        if let Some(Reverse(next)) = sleepers.peek() {
            self.set(next.due);
        }
        Ok(())
    }
}

#[expect(
    unsafe_code,
    reason = "tokio cannot tell that a TimerFd owns its descriptor"
)]
fn timer() -> std::io::Result<AsyncFd<Timer>> {
    let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
    let timer = Timer(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
    // SAFETY: the descriptor is open as long as its owner, which moves into the `AsyncFd`.
    Ok(unsafe { AsyncFd::register(timer) }?)
}

struct Sleeper {
    due: Stamp,
    wake: oneshot::Sender<()>,
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}
impl Eq for Sleeper {}
impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::{LocalSet, spawn_local};

    #[test]
    fn sleepers_wake_in_the_order_of_their_moments_and_never_early() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let order = Rc::new(RefCell::new(Vec::new()));
        LocalSet::new().block_on(&runtime, async {
            let pacer = Pacer::start().expect("a timer");
            let start = Stamp::now();
            let tasks = [30, 10, 20, 0].map(|ms| {
                let (pacer, order) = (pacer.clone(), order.clone());
                spawn_local(async move {
                    let due = start.plus_s(f64::from(ms) / 1e3);
                    pacer.sleep_until(due).await;
                    assert!(Stamp::now() >= due);
                    order.borrow_mut().push(ms);
                })
            });
            for task in tasks {
                task.await.expect("the sleeper woke");
            }
        });
        assert_eq!(*order.borrow(), [0, 10, 20, 30]);
    }

    #[test]
    fn sleepers_of_the_furthest_moments_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let pacer = Pacer::start().expect("a timer");
            for due in [Stamp::now().plus_s(1e300), Stamp(u64::MAX)] {
                let slept = tokio::time::timeout(
                    std::time::Duration::from_millis(5),
                    pacer.sleep_until(due),
                );
                assert!(slept.await.is_err(), "{due:?}");
            }
        });
    }
}
