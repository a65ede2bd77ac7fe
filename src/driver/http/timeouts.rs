//! Aborts requests when a time limit is reached, or when their target is to be aborted.
//!
//! A timer and a channel for each request would be polled with every chunk. One check of all
//! requests of a shard, twenty times per second, has no measurable cost.

use super::failure::Failure;
use super::target::{RequestLimits, Target};
use crate::driver::clock::Stamp;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::sync::watch;

/// The interval at which a shard checks its requests.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The progress of a request, and its time limits.
pub(super) struct RequestTimeout {
    limits: RequestLimits,
    abort: watch::Receiver<Option<String>>,
    started: Stamp,
    last_event: Cell<Option<Stamp>>,
    chunks: Cell<usize>,
    expired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl RequestTimeout {
    fn new(target: &Target) -> Self {
        Self {
            limits: target.limits,
            abort: target.abort.clone(),
            started: Stamp::now(),
            last_event: Cell::default(),
            chunks: Cell::default(),
            expired: Cell::default(),
            waker: RefCell::default(),
        }
    }

    /// Sets the time of the last event, and the number of chunks of output so far.
    pub(super) fn received(&self, at: Stamp, chunks: usize) {
        self.last_event.set(Some(at));
        self.chunks.set(chunks);
    }

    /// Runs `work` until it ends or the request must be aborted.
    pub(super) async fn limit<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            // Checked again: after a pause of this process, what had arrived meanwhile counts.
            if self.expired.take()
                && let Some(failure) = self.failure(Stamp::now())
            {
                return Poll::Ready(Err(failure));
            }
            let mut waker = self.waker.borrow_mut();
            if waker
                .as_ref()
                .is_none_or(|waker| !waker.will_wake(context.waker()))
            {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Returns the failure of a request that must be aborted.
    fn failure(&self, now: Stamp) -> Option<Failure> {
        if let Some(reason) = &*self.abort.borrow() {
            return Some(Failure::Aborted {
                reason: reason.clone(),
            });
        }
        let chunks = self.chunks.get();
        let (part, started, part_s) = match self.last_event.get() {
            Some(last) if chunks > 0 => ("further chunk", last, self.limits.between_chunks_s),
            _ => ("first token", self.started, self.limits.first_token_s),
        };
        let part_deadline = started.plus_s(part_s.0);
        let total_deadline = self.started.plus_s(self.limits.total_s.0);
        let (what, deadline, limit_s) = if part_deadline < total_deadline {
            (part, part_deadline, part_s)
        } else {
            ("end of the answer", total_deadline, self.limits.total_s)
        };
        (deadline <= now).then_some(Failure::Timeout {
            what,
            limit_s: limit_s.0,
            chunks,
        })
    }

    /// Wakes the request if it must be aborted.
    fn check(&self, now: Stamp) {
        if self.failure(now).is_some() {
            self.expired.set(true);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }
}

/// The time limits of the requests in flight on one shard.
#[derive(Clone, Default)]
pub(super) struct Timeouts(Rc<RefCell<Vec<Weak<RequestTimeout>>>>);

impl Timeouts {
    /// Starts to check the requests, until the shard ends.
    pub(super) fn start() -> Self {
        let timeouts = Self::default();
        let checked = timeouts.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(CHECK_INTERVAL).await;
                checked.check();
            }
        });
        timeouts
    }

    /// Adds a request to `target`. It is checked until the result is dropped.
    pub(super) fn add(&self, target: &Target) -> Rc<RequestTimeout> {
        let timeout = Rc::new(RequestTimeout::new(target));
        self.0.borrow_mut().push(Rc::downgrade(&timeout));
        timeout
    }

    fn check(&self) {
        let now = Stamp::now();
        self.0.borrow_mut().retain(|timeout| {
            let Some(timeout) = timeout.upgrade() else {
                return false;
            };
            timeout.check(now);
            true
        });
    }
}
