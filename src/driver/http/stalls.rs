//! The stalls of a sending thread, and their effect on the stamps of an answer.
//!
//! Bytes that arrive during a stall wait in the socket. The kernel joins waiting segments, and
//! keeps the stamp of the last: the first chunk then seems to arrive as late as the last.

use super::exchange::{Arrival, Exchange};
use super::pacer::Pacer;
use crate::driver::clock::Stamp;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The interval at which a shard records that it runs, seconds.
const INTERVAL_S: f64 = 0.005;
/// The minimum length of a stall, seconds.
const MIN_STALL_S: f64 = 0.001;
/// The time after a stall in which stamps still belong to it, seconds: bytes are read when their
/// thread runs again.
const AFTER_S: f64 = 0.001;
/// The maximum number of recorded stalls: more than a request of 15 minutes meets on a usable
/// machine.
const MAX_STALLS: usize = 4096;

/// A time in which a sending thread did not run.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stall {
    /// The last time at which it is known to have run.
    from: Stamp,
    /// The time at which it ran again.
    until: Stamp,
}

impl Stall {
    /// Returns the shortest time that it may have lasted, seconds.
    fn length_s(&self) -> f64 {
        self.length_since_s(self.from)
    }

    /// Returns the shortest time that it may have lasted after `moment`, seconds.
    fn length_since_s(&self, moment: Stamp) -> f64 {
        self.until.since_s(self.from.max(moment)) - INTERVAL_S
    }
}

/// The effect of the sending thread's stalls on a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StallEffect {
    /// The longest stall between its send and its end, seconds.
    pub longest_s: f64,
    /// The number of chunks that arrived during a stall and were read with an earlier one.
    pub chunks: usize,
    /// The time by which the stamp of the first token may be too late, seconds.
    pub first_token_late_s: f64,
}

/// The stalls of one shard. Clones share them.
#[derive(Clone)]
pub(super) struct Stalls(Rc<StallState>);

struct StallState {
    last_run: Cell<Stamp>,
    past: RefCell<Vec<Stall>>,
}

impl Stalls {
    /// Starts to watch the current thread, until the shard ends.
    pub(super) fn start(pacer: Pacer) -> Self {
        let stalls = Self::new(Stamp::now());
        let watched = stalls.clone();
        tokio::task::spawn_local(async move {
            loop {
                pacer.sleep_until(Stamp::now().plus_s(INTERVAL_S)).await;
                watched.record_run(Stamp::now());
            }
        });
        stalls
    }

    fn new(now: Stamp) -> Self {
        Self(Rc::new(StallState {
            last_run: Cell::new(now),
            past: RefCell::default(),
        }))
    }

    /// Records that the thread runs, and the stall before, if there was one.
    fn record_run(&self, now: Stamp) {
        let stall = self.pending(now);
        self.0.last_run.set(now);
        let mut past = self.0.past.borrow_mut();
        past.extend(stall);
        if past.len() > MAX_STALLS {
            past.sort_by(|a, b| b.length_s().total_cmp(&a.length_s()));
            past.truncate(MAX_STALLS / 2);
            past.sort_by_key(|stall| stall.until);
        }
    }

    /// Returns the stall that has just ended and is not recorded yet.
    fn pending(&self, now: Stamp) -> Option<Stall> {
        let stall = Stall {
            from: self.0.last_run.get(),
            until: now,
        };
        (stall.length_s() > MIN_STALL_S).then_some(stall)
    }

    /// Returns the effect of stalls on a request that has ended `now`.
    pub(super) fn effect_on(&self, exchange: &Exchange, now: Stamp) -> StallEffect {
        let Some(sent) = exchange.sent else {
            return StallEffect::default();
        };
        let past = self.0.past.borrow();
        let first = past.partition_point(|stall| stall.until < sent);
        let stalls: Vec<Stall> = past[first..]
            .iter()
            .copied()
            .chain(self.pending(now))
            .collect();
        let chunks = exchange
            .joined()
            .filter(|moment| stall_around(&stalls, *moment).is_some())
            .count();
        let mut first_token_late_s = 0.0;
        if let Some(first) = exchange.first_token
            && is_doubtful(first, exchange)
            && let Some(stall) = stall_around(&stalls, first.at())
        {
            first_token_late_s = first.at().since_s(stall.from);
        }
        StallEffect {
            longest_s: stalls
                .iter()
                .map(|stall| stall.length_since_s(sent))
                .fold(0.0, f64::max),
            chunks,
            first_token_late_s,
        }
    }
}

/// Returns the stall during or shortly after which `moment` was stamped.
fn stall_around(stalls: &[Stall], moment: Stamp) -> Option<&Stall> {
    let at = stalls.partition_point(|stall| stall.until.plus_s(AFTER_S) < moment);
    stalls.get(at).filter(|stall| stall.from <= moment)
}

/// Returns true if the stamp of the first token may be that of later bytes, or is not the kernel's.
fn is_doubtful(first: Arrival, exchange: &Exchange) -> bool {
    let is_shared = exchange.chunks.get(1) == Some(&first.at());
    let is_the_end = exchange.done.is_some_and(|done| done.at() == first.at());
    first.kernel.is_none() || is_shared || is_the_end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Stamp {
        Stamp(1_000_000_000 + ms * 1_000_000)
    }

    fn arrival(ms: u64) -> Arrival {
        Arrival {
            kernel: Some(at(ms)),
            read: at(ms + 20),
        }
    }

    /// Returns an answer whose chunks have these stamps.
    fn answer(chunks: &[u64]) -> Exchange {
        Exchange {
            sent: Some(at(0)),
            first_token: Some(arrival(chunks[0])),
            chunks: chunks.iter().map(|ms| at(*ms)).collect(),
            ..Exchange::default()
        }
    }

    /// Returns the stalls of a thread that ran at these moments.
    fn stalls_of(moments: &[u64]) -> Stalls {
        let stalls = Stalls::new(at(moments[0]));
        for ms in &moments[1..] {
            stalls.record_run(at(*ms));
        }
        stalls
    }

    fn ms(seconds: f64) -> u64 {
        (seconds * 1e3).round() as u64
    }

    #[test]
    fn chunks_joined_in_a_stall_are_counted_and_the_first_token_is_late() {
        let effect =
            stalls_of(&[0, 5, 125, 130]).effect_on(&answer(&[100, 100, 100, 128]), at(131));
        assert_eq!((ms(effect.longest_s), effect.chunks), (115, 2));
        assert_eq!(ms(effect.first_token_late_s), 95);
    }

    #[test]
    fn a_stall_is_known_before_its_timer_fires() {
        let effect = stalls_of(&[0, 5]).effect_on(&answer(&[100, 100]), at(125));
        assert_eq!((ms(effect.longest_s), effect.chunks), (115, 1));
    }

    #[test]
    fn a_server_that_writes_chunks_together_is_not_stalled() {
        let effect =
            stalls_of(&[0, 5, 10, 15, 20, 25]).effect_on(&answer(&[12, 12, 12, 22]), at(26));
        assert_eq!(effect, StallEffect::default());
        // A stall at another time during the request is found, and changes none of its stamps.
        let effect = stalls_of(&[0, 5, 10, 15, 60]).effect_on(&answer(&[12, 12, 12, 40]), at(61));
        assert_eq!(
            (
                ms(effect.longest_s),
                effect.chunks,
                ms(effect.first_token_late_s)
            ),
            (40, 0, 0)
        );
    }

    #[test]
    fn a_first_token_without_a_kernel_stamp_is_late_after_a_stall() {
        let first_token = Some(Arrival {
            kernel: None,
            read: at(60),
        });
        let read = Exchange {
            first_token,
            chunks: vec![at(60)],
            ..answer(&[60])
        };
        assert_eq!(
            ms(stalls_of(&[0, 5, 60])
                .effect_on(&read, at(61))
                .first_token_late_s),
            55
        );
    }

    #[test]
    fn the_longest_stalls_are_kept() {
        let stalls = Stalls::new(at(0));
        let mut now = 0;
        for i in 0..10_000 {
            now += if i == 17 { 500 } else { 10 };
            stalls.record_run(at(now));
        }
        assert!(stalls.0.past.borrow().len() <= MAX_STALLS);
        assert_eq!(ms(stalls.effect_on(&answer(&[3]), at(now)).longest_s), 495);
    }
}
