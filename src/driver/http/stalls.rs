//! Stalls of a sending thread, and their effect on the stamps of an answer.
//!
//! Bytes that arrive during a stall wait in the socket. The kernel joins segments that wait, and keeps the
//! stamp of the last: the first chunk then seems to come as late as the last.

use super::exchange::{Arrival, Exchange};
use super::pacer::Pacer;
use crate::driver::clock::Stamp;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The interval at which a shard shows that it runs, seconds.
const EVERY_S: f64 = 0.005;
/// A shorter delay is not a stall, seconds.
const LEAST_S: f64 = 0.001;
/// A stamp within this time after a stall belongs to it, seconds: bytes are read when their thread runs
/// again.
const AFTER_S: f64 = 0.001;
/// The maximum number of stalls that are kept: more than a request of 15 minutes meets on a usable machine.
const MOST: usize = 4096;

/// A time in which a sending thread did not run.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stall {
    /// The last moment at which it was seen to run.
    from: Stamp,
    /// The moment at which it ran again.
    until: Stamp,
}

impl Stall {
    /// The shortest time for which it may have lasted, seconds.
    fn length_s(&self) -> f64 {
        self.length_since_s(self.from)
    }

    /// The shortest time for which it may have lasted after `moment`, seconds.
    fn length_since_s(&self, moment: Stamp) -> f64 {
        self.until.since_s(self.from.max(moment)) - EVERY_S
    }
}

/// The effect of the sending thread's stalls on a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stalled {
    /// The longest stall between its send and its end, seconds.
    pub longest_s: f64,
    /// Chunks that came during a stall and were read together with an earlier one.
    pub chunks: usize,
    /// The time by which the stamp of the first token may be too late, seconds.
    pub first_token_late_s: f64,
}

/// The stalls of one shard. Clones share them.
#[derive(Clone)]
pub struct Stalls(Rc<Inner>);

struct Inner {
    ran: Cell<Stamp>,
    past: RefCell<Vec<Stall>>,
}

impl Stalls {
    /// Watches the current thread from now on, until the shard ends.
    pub fn start(pacer: Pacer) -> Self {
        let stalls = Self::new(Stamp::now());
        let watched = stalls.clone();
        tokio::task::spawn_local(async move {
            loop {
                pacer.sleep_until(Stamp::now().plus_s(EVERY_S)).await;
                watched.runs(Stamp::now());
            }
        });
        stalls
    }

    fn new(now: Stamp) -> Self {
        Self(Rc::new(Inner {
            ran: Cell::new(now),
            past: RefCell::default(),
        }))
    }

    /// Notes that the thread runs, and the stall before, if there was one.
    fn runs(&self, now: Stamp) {
        let stall = self.pending(now);
        self.0.ran.set(now);
        let mut past = self.0.past.borrow_mut();
        past.extend(stall);
        if past.len() > MOST {
            past.sort_by(|a, b| b.length_s().total_cmp(&a.length_s()));
            past.truncate(MOST / 2);
            past.sort_by_key(|stall| stall.until);
        }
    }

    /// The stall that has just ended and is not noted yet.
    fn pending(&self, now: Stamp) -> Option<Stall> {
        let stall = Stall {
            from: self.0.ran.get(),
            until: now,
        };
        (stall.length_s() > LEAST_S).then_some(stall)
    }

    /// Returns the effect of stalls on a request that has ended `now`.
    pub fn effect_on(&self, seen: &Exchange, now: Stamp) -> Stalled {
        let Some(sent) = seen.sent else {
            return Stalled::default();
        };
        let past = self.0.past.borrow();
        let first = past.partition_point(|stall| stall.until < sent);
        let stalls: Vec<Stall> = past[first..]
            .iter()
            .copied()
            .chain(self.pending(now))
            .collect();
        let around = |moment: Stamp| {
            let at = stalls.partition_point(|stall| stall.until.plus_s(AFTER_S) < moment);
            stalls.get(at).filter(|stall| stall.from <= moment)
        };
        let joined = seen.joined().filter(|moment| around(*moment).is_some());
        let first_token = seen.first_token.filter(|first| is_doubtful(*first, seen));
        let late_s = |first: Arrival| Some(first.at().since_s(around(first.at())?.from));
        Stalled {
            longest_s: stalls
                .iter()
                .map(|stall| stall.length_since_s(sent))
                .fold(0.0, f64::max),
            chunks: joined.count(),
            first_token_late_s: first_token.and_then(late_s).unwrap_or(0.0),
        }
    }
}

/// Returns true if the stamp of the first token may be that of later bytes, or is not the kernel's.
fn is_doubtful(first: Arrival, seen: &Exchange) -> bool {
    let is_shared = seen.chunks.get(1) == Some(&first.at());
    let is_the_end = seen.done.is_some_and(|done| done.at() == first.at());
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

    /// An answer whose chunks have these stamps.
    fn seen(chunks: &[u64]) -> Exchange {
        Exchange {
            sent: Some(at(0)),
            first_token: Some(arrival(chunks[0])),
            chunks: chunks.iter().map(|ms| at(*ms)).collect(),
            ..Exchange::default()
        }
    }

    /// A thread that ran at these moments.
    fn ran(moments: &[u64]) -> Stalls {
        let stalls = Stalls::new(at(moments[0]));
        moments[1..].iter().for_each(|ms| stalls.runs(at(*ms)));
        stalls
    }

    fn ms(seconds: f64) -> u64 {
        (seconds * 1e3).round() as u64
    }

    #[test]
    fn joined_chunks_in_a_stall_are_its_effect_and_the_first_token_is_late() {
        let stalled = ran(&[0, 5, 125, 130]).effect_on(&seen(&[100, 100, 100, 128]), at(131));
        assert_eq!((ms(stalled.longest_s), stalled.chunks), (115, 2));
        assert_eq!(ms(stalled.first_token_late_s), 95);
    }

    #[test]
    fn a_stall_is_known_before_its_own_timer_rings() {
        let stalled = ran(&[0, 5]).effect_on(&seen(&[100, 100]), at(125));
        assert_eq!((ms(stalled.longest_s), stalled.chunks), (115, 1));
    }

    #[test]
    fn a_server_that_writes_chunks_together_is_not_stalled() {
        let stalled = ran(&[0, 5, 10, 15, 20, 25]).effect_on(&seen(&[12, 12, 12, 22]), at(26));
        assert_eq!(stalled, Stalled::default());
        // A stall at another time during the request is found, and changes none of its stamps.
        let stalled = ran(&[0, 5, 10, 15, 60]).effect_on(&seen(&[12, 12, 12, 40]), at(61));
        assert_eq!(
            (
                ms(stalled.longest_s),
                stalled.chunks,
                ms(stalled.first_token_late_s)
            ),
            (40, 0, 0)
        );
    }

    #[test]
    fn without_a_stamp_of_the_kernel_a_first_token_read_behind_a_stall_is_late() {
        let first_token = Some(Arrival {
            kernel: None,
            read: at(60),
        });
        let read = Exchange {
            first_token,
            chunks: vec![at(60)],
            ..seen(&[60])
        };
        assert_eq!(
            ms(ran(&[0, 5, 60]).effect_on(&read, at(61)).first_token_late_s),
            55
        );
    }

    #[test]
    fn the_largest_stalls_are_kept() {
        let stalls = Stalls::new(at(0));
        let mut now = 0;
        for i in 0..10_000 {
            now += if i == 17 { 500 } else { 10 };
            stalls.runs(at(now));
        }
        assert!(stalls.0.past.borrow().len() <= MOST);
        assert_eq!(ms(stalls.effect_on(&seen(&[3]), at(now)).longest_s), 495);
    }
}
