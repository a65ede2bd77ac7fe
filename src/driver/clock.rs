//! The one clock: nanoseconds of `CLOCK_MONOTONIC`.
//!
//! Kernel receive stamps come in `CLOCK_REALTIME`; [`WallOffset`] moves them over.

use nix::time::{ClockId, clock_gettime};

/// A point on the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

/// The furthest point, over 100 years after the clock's start: the kernel's timers take no point beyond `i64::MAX`.
const FURTHEST_NS: u64 = 1 << 62;

impl Stamp {
    /// This moment.
    pub fn now() -> Self {
        Self(read(ClockId::CLOCK_MONOTONIC))
    }

    /// This point moved by `seconds`, never before the clock's start and at most to its furthest point.
    #[must_use]
    pub fn plus_s(self, seconds: f64) -> Self {
        Self((self.0 as f64 + seconds * 1e9).clamp(0.0, FURTHEST_NS as f64) as u64)
    }

    /// Seconds from `earlier` to this point, negative when it lies before.
    pub fn since_s(self, earlier: Self) -> f64 {
        self.0.wrapping_sub(earlier.0).cast_signed() as f64 / 1e9
    }
}

/// How far `CLOCK_REALTIME` is ahead of `CLOCK_MONOTONIC`, sampled often enough that a
/// stepped or slewed wall clock does not move the stamps.
#[derive(Debug)]
pub struct WallOffset {
    offset_ns: i128,
    sampled: Stamp,
}

/// A sample older than this is taken again.
const FRESH_NS: u64 = 50_000_000;
/// So is one by which bytes have waited for longer: nearly always they have not.
const PLAUSIBLE_NS: u64 = 5_000_000;
/// Two samples that differ by less are the same: one stamp of the kernel stays one point, however often it is
/// moved over.
const JITTER_NS: i128 = 5_000;
/// Two samples that differ by more lie on both sides of a step.
const STEP_NS: i128 = 1_000_000;

impl Default for WallOffset {
    fn default() -> Self {
        Self {
            offset_ns: sample_ns(),
            sampled: Stamp::now(),
        }
    }
}

impl WallOffset {
    /// The monotonic point of a wall clock time in nanoseconds, read at `now`; `None` where the
    /// wall clock was stepped in between.
    pub fn monotonic(&mut self, wall_ns: u64, now: Stamp) -> Option<Stamp> {
        let plausible = |stamp: Stamp| {
            now.0
                .checked_sub(stamp.0)
                .is_some_and(|lag| lag <= PLAUSIBLE_NS)
        };
        if now.0.saturating_sub(self.sampled.0) > FRESH_NS || !plausible(self.at(wall_ns)) {
            let offset_ns = sample_ns();
            let change_ns = (offset_ns - self.offset_ns).abs();
            self.sampled = now;
            if change_ns > JITTER_NS {
                self.offset_ns = offset_ns;
            }
            if change_ns > STEP_NS {
                return None;
            }
        }
        Some(self.at(wall_ns)).filter(|stamp| *stamp <= now)
    }

    fn at(&self, wall_ns: u64) -> Stamp {
        Stamp((i128::from(wall_ns) - self.offset_ns).max(0) as u64)
    }
}

/// The tightest of a few readings of both clocks.
fn sample_ns() -> i128 {
    let reading = || {
        let before = read(ClockId::CLOCK_MONOTONIC);
        let wall = read(ClockId::CLOCK_REALTIME);
        let after = read(ClockId::CLOCK_MONOTONIC);
        (
            after - before,
            i128::from(wall) - i128::from(before + (after - before) / 2),
        )
    };
    (0..5)
        .map(|_| reading())
        .min_by_key(|(width, _)| *width)
        .map_or(0, |(_, offset)| offset)
}

fn read(clock: ClockId) -> u64 {
    // Both clocks exist on every system that lmrun compiles for; neither call can fail.
    let time = clock_gettime(clock).expect("the clock can be read");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_time_lands_on_the_monotonic_clock() {
        let mut offset = WallOffset::default();
        let before = Stamp::now();
        let wall = read(ClockId::CLOCK_REALTIME);
        let after = Stamp::now();
        let moved = offset
            .monotonic(wall, after.plus_s(0.001))
            .expect("no step");
        // A clock that is being slewed may be off by a hair more than the bracket.
        assert!(moved.plus_s(0.001) >= before && moved <= after.plus_s(0.001));
    }

    /// Of a fresh sample and of an old one, forwards and backwards.
    #[test]
    fn a_step_of_the_wall_clock_moves_no_stamp() {
        const HOUR_NS: i128 = 3_600_000_000_000;
        for (step_ns, age_s) in [
            (HOUR_NS, 0.0),
            (-HOUR_NS, 0.0),
            (HOUR_NS, 1.0),
            (20_000_000, 0.0),
        ] {
            let sampled = Stamp::now().plus_s(-age_s);
            let mut offset = WallOffset {
                offset_ns: sample_ns() - step_ns,
                sampled,
            };
            let mut read_now =
                || offset.monotonic(read(ClockId::CLOCK_REALTIME), Stamp::now().plus_s(0.001));
            assert_eq!(
                read_now(),
                None,
                "{step_ns} {age_s}: the first read after it has no stamp"
            );
            let stamp = read_now().expect("from then on each has one");
            assert!(Stamp::now().since_s(stamp).abs() < 0.1, "{step_ns} {age_s}");
        }
    }

    #[test]
    fn one_wall_time_is_one_point_in_every_read() {
        let mut offset = WallOffset::default();
        let wall = read(ClockId::CLOCK_REALTIME);
        let mut stamp_after = |s: f64| {
            offset
                .monotonic(wall, Stamp::now().plus_s(s))
                .expect("no step")
        };
        let stamps = [0.001, 0.02, 0.1, 0.2].map(&mut stamp_after); // each but the first takes a new sample
        assert_eq!(stamps, [stamps[0]; 4]);
    }

    #[test]
    fn differences_are_signed_seconds() {
        let (early, late) = (Stamp(1_000_000_000), Stamp(3_500_000_000));
        assert!((late.since_s(early) - 2.5).abs() < 1e-12);
        assert!((early.since_s(late) + 2.5).abs() < 1e-12);
        assert_eq!(early.plus_s(2.5), late);
    }

    #[test]
    fn a_point_moved_beyond_the_clock_stays_on_it() {
        assert_eq!(Stamp(5).plus_s(1e300), Stamp(FURTHEST_NS));
        assert_eq!(Stamp(5).plus_s(f64::INFINITY), Stamp(FURTHEST_NS));
        assert_eq!(Stamp(5).plus_s(-1e300), Stamp(0));
    }
}
