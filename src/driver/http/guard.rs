//! Giving requests up: when a limit is reached, or when somebody says so.
//!
//! A timer and a channel of its own for each request would be polled with every chunk; one look
//! over all requests of a shard, twenty times a second, costs nothing that can be measured.

use super::failure::Failure;
use super::target::{Limits, Target};
use crate::driver::clock::Stamp;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::sync::watch;

/// How often a shard looks for requests to give up.
const EVERY: Duration = Duration::from_millis(50);

/// How far a request is, and whether it is to be given up.
pub struct Guard {
    limits: Limits,
    abort: watch::Receiver<Option<String>>,
    started: Stamp,
    last_event: Cell<Option<Stamp>>,
    chunks: Cell<usize>,
    stop: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Guard {
    fn new(target: &Target) -> Self {
        Self {
            limits: target.limits,
            abort: target.abort.clone(),
            started: Stamp::now(),
            last_event: Cell::default(),
            chunks: Cell::default(),
            stop: Cell::default(),
            waker: RefCell::default(),
        }
    }

    /// Notes that something was received, and how many chunks of output there are by now.
    pub fn received(&self, at: Stamp, chunks: usize) {
        self.last_event.set(Some(at));
        self.chunks.set(chunks);
    }

    /// Does `work` until it ends, or is given up.
    pub async fn watch<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            // Asked again: after a pause of this whole process, what had arrived meanwhile counts.
            if self.stop.take()
                && let Some(failure) = self.verdict(Stamp::now())
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

    /// The next moment at which a limit is reached, and the failure that it then is.
    fn deadline(&self) -> (Stamp, Failure) {
        let limits = &self.limits;
        let timeout = |what, limit_s| Failure::Timeout {
            what,
            limit_s,
            chunks: self.chunks.get(),
        };
        let total = (
            self.started.plus_s(limits.total_s),
            timeout("end of the answer", limits.total_s),
        );
        let part = match self.last_event.get() {
            Some(last) if self.chunks.get() > 0 => (
                last.plus_s(limits.between_chunks_s),
                timeout("further chunk", limits.between_chunks_s),
            ),
            _ => (
                self.started.plus_s(limits.first_token_s),
                timeout("first token", limits.first_token_s),
            ),
        };
        if part.0 < total.0 { part } else { total }
    }

    /// Why the request is to be given up: somebody said so, or its time is over.
    fn verdict(&self, now: Stamp) -> Option<Failure> {
        let said = self.abort.borrow().as_ref().map(|reason| Failure::Aborted {
            reason: reason.clone(),
        });
        let over = || {
            Some(self.deadline())
                .filter(|(deadline, _)| *deadline <= now)
                .map(|(_, failure)| failure)
        };
        said.or_else(over)
    }

    /// Wakes the request if it is to be given up.
    fn look(&self, now: Stamp) {
        if self.verdict(now).is_some() {
            self.stop.set(true);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }
}

/// The requests under way on one shard.
#[derive(Clone, Default)]
pub struct Guards(Rc<RefCell<Vec<Weak<Guard>>>>);

impl Guards {
    /// Begins to look over the requests, until the shard ends.
    pub fn start() -> Self {
        let guards = Self::default();
        let looking = guards.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                looking.look();
            }
        });
        guards
    }

    /// A guard over a request to `target`, until it is dropped.
    pub fn over(&self, target: &Target) -> Rc<Guard> {
        let guard = Rc::new(Guard::new(target));
        self.0.borrow_mut().push(Rc::downgrade(&guard));
        guard
    }

    fn look(&self) {
        let now = Stamp::now();
        self.0.borrow_mut().retain(|guard| {
            let Some(guard) = guard.upgrade() else {
                return false;
            };
            guard.look(now);
            true
        });
    }
}
