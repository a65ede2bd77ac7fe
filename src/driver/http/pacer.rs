//! A timer that wakes tasks at planned moments.
//!
//! tokio's timer has steps of a millisecond, and is half a millisecond late on average. This one
//! has a `timerfd` and a heap of due moments per shard.

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

/// The timer of a shard. Clones share it.
#[derive(Clone)]
pub(super) struct Pacer(Rc<PacerState>);

struct PacerState {
    timer: AsyncFd<Timer>,
    sleepers: RefCell<BinaryHeap<Reverse<Sleeper>>>,
}

/// nix's timer, with the traits that tokio requires.
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
    /// Starts the timer on the current `LocalSet`.
    pub(super) fn start() -> std::io::Result<Self> {
        let pacer = Self(Rc::new(PacerState {
            timer: timer()?,
            sleepers: RefCell::default(),
        }));
        let state = pacer.0.clone();
        // The task ends with the shard.
        tokio::task::spawn_local(async move { while state.wake_due().await.is_ok() {} });
        Ok(pacer)
    }

    /// Waits until `due`. Returns at once if it has passed.
    pub(super) async fn sleep_until(&self, due: Stamp) {
        if due <= Stamp::now() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        self.0.push(Sleeper { due, wake });
        // An error means that the shard ends.
        let _ = woken.await;
    }
}

impl PacerState {
    fn push(&self, sleeper: Sleeper) {
        let due = sleeper.due;
        let mut sleepers = self.sleepers.borrow_mut();
        let earliest = sleepers.peek().is_none_or(|Reverse(first)| due < first.due);
        sleepers.push(Reverse(sleeper));
        if earliest {
            self.set_timer(due);
        }
    }

    /// Sets the timer. If `due` has passed, it fires at once.
    fn set_timer(&self, due: Stamp) {
        let expiration = Expiration::OneShot(TimeSpec::nanoseconds(
            i64::try_from(due.0).unwrap_or(i64::MAX),
        ));
        let timer = &self.timer.get_ref().0;
        timer
            .set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            .expect("the timer accepts any positive time");
    }

    /// Waits until the timer fires, and wakes all tasks that are due.
    async fn wake_due(&self) -> std::io::Result<()> {
        let mut guard = self.timer.readable().await?;
        // Reading the number of expirations resets the timer.
        let _ = guard.try_io(|timer| Ok(timer.get_ref().0.wait()?));
        let mut sleepers = self.sleepers.borrow_mut();
        let now = Stamp::now();
        while sleepers
            .peek()
            .is_some_and(|Reverse(first)| first.due <= now)
        {
            if let Some(Reverse(sleeper)) = sleepers.pop() {
                let _ = sleeper.wake.send(()); // the task may have been cancelled
            }
        }
        if let Some(Reverse(next)) = sleepers.peek() {
            self.set_timer(next.due);
        }
        Ok(())
    }
}

#[expect(
    unsafe_code,
    reason = "tokio cannot know that a TimerFd owns its descriptor"
)]
fn timer() -> std::io::Result<AsyncFd<Timer>> {
    let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
    let timer = Timer(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
    // SAFETY: the descriptor is open until its owner is dropped, which moves into the `AsyncFd`.
    Ok(unsafe { AsyncFd::register(timer) }?)
}

/// A task that waits.
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
    fn sleepers_wake_in_order_and_never_early() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let order = Rc::new(RefCell::new(Vec::new()));
        LocalSet::new().block_on(&runtime, async {
            let pacer = Pacer::start().expect("a timer");
            let start = Stamp::now();
            let tasks = [30, 10, 20, 0].map(|ms| {
                let pacer = pacer.clone();
                let order = order.clone();
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
    fn sleepers_can_wait_for_the_last_point_of_the_clock() {
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
