//! The clock of all measurements: nanoseconds of `CLOCK_MONOTONIC`.
//!
//! Kernel receive stamps are in `CLOCK_REALTIME`; [`WallOffset`] converts them.

use nix::time::{ClockId, clock_gettime};

/// A point on the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

/// The last point, over 100 years after the clock's start. The kernel's timers reject points beyond
/// `i64::MAX`.
const LAST_NS: u64 = 1 << 62;

impl Stamp {
    /// Returns the current time.
    pub fn now() -> Self {
        Self(read(ClockId::CLOCK_MONOTONIC))
    }

    /// Returns this point moved by `seconds`, limited to the clock's start and its last point.
    #[must_use]
    pub fn plus_s(self, seconds: f64) -> Self {
        Self((self.0 as f64 + seconds * 1e9).clamp(0.0, LAST_NS as f64) as u64)
    }

    /// Returns the seconds from `earlier` to this point; negative if this point is before it.
    pub fn since_s(self, earlier: Self) -> f64 {
        self.0.wrapping_sub(earlier.0).cast_signed() as f64 / 1e9
    }
}

/// The difference between `CLOCK_REALTIME` and `CLOCK_MONOTONIC`, sampled often enough that a
/// stepped or slewed wall clock does not move the stamps.
#[derive(Debug)]
pub struct WallOffset {
    offset_ns: i128,
    sampled: Stamp,
}

/// The age at which a new sample is taken.
const FRESH_NS: u64 = 50_000_000;
/// The waiting time of bytes from which a new sample is taken: nearly all bytes wait for less.
const PLAUSIBLE_NS: u64 = 5_000_000;
/// The difference up to which two samples count as equal, so that one kernel stamp stays one point
/// in every conversion.
const JITTER_NS: i128 = 5_000;
/// The difference from which the wall clock was stepped between two samples.
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
    /// Converts a wall clock time in nanoseconds, read at `now`. Returns `None` if the wall clock
    /// was stepped since the last sample.
    pub(crate) fn monotonic(&mut self, wall_ns: u64, now: Stamp) -> Option<Stamp> {
        if now.0.saturating_sub(self.sampled.0) > FRESH_NS || !self.is_plausible(wall_ns, now) {
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

    fn is_plausible(&self, wall_ns: u64, now: Stamp) -> bool {
        now.0
            .checked_sub(self.at(wall_ns).0)
            .is_some_and(|lag_ns| lag_ns <= PLAUSIBLE_NS)
    }

    fn at(&self, wall_ns: u64) -> Stamp {
        Stamp((i128::from(wall_ns) - self.offset_ns).max(0) as u64)
    }
}

/// Returns the offset of the fastest of a few readings of both clocks.
fn sample_ns() -> i128 {
    let mut fastest_ns = u64::MAX;
    let mut offset_ns = 0;
    for _ in 0..5 {
        let before = read(ClockId::CLOCK_MONOTONIC);
        let wall = read(ClockId::CLOCK_REALTIME);
        let duration_ns = read(ClockId::CLOCK_MONOTONIC) - before;
        if duration_ns < fastest_ns {
            fastest_ns = duration_ns;
            offset_ns = i128::from(wall) - i128::from(before + duration_ns / 2);
        }
    }
    offset_ns
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("Linux has both clocks");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_times_are_converted_to_the_monotonic_clock() {
        let mut offset = WallOffset::default();
        let before = Stamp::now();
        let wall = read(ClockId::CLOCK_REALTIME);
        let after = Stamp::now();
        let moved = offset
            .monotonic(wall, after.plus_s(0.001))
            .expect("no step");
        // A clock that is being slewed may be off by slightly more than the two readings.
        assert!(moved.plus_s(0.001) >= before && moved <= after.plus_s(0.001));
    }

    /// Tests a fresh sample and an old one, and steps forwards and backwards.
    #[test]
    fn a_step_of_the_wall_clock_does_not_move_stamps() {
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
                "{step_ns} {age_s}: the first read after the step has no stamp"
            );
            let stamp = read_now().expect("later reads have one");
            assert!(Stamp::now().since_s(stamp).abs() < 0.1, "{step_ns} {age_s}");
        }
    }

    #[test]
    fn a_wall_time_is_converted_to_the_same_point_every_time() {
        let mut offset = WallOffset::default();
        let wall = read(ClockId::CLOCK_REALTIME);
        // Each but the first takes a new sample.
        let stamps = [0.001, 0.02, 0.1, 0.2].map(|s| {
            offset
                .monotonic(wall, Stamp::now().plus_s(s))
                .expect("no step")
        });
        assert_eq!(stamps, [stamps[0]; 4]);
    }

    #[test]
    fn differences_are_signed_seconds() {
        let early = Stamp(1_000_000_000);
        let late = Stamp(3_500_000_000);
        assert!((late.since_s(early) - 2.5).abs() < 1e-12);
        assert!((early.since_s(late) + 2.5).abs() < 1e-12);
        assert_eq!(early.plus_s(2.5), late);
    }

    #[test]
    fn plus_s_stays_within_the_clock() {
        assert_eq!(Stamp(5).plus_s(1e300), Stamp(LAST_NS));
        assert_eq!(Stamp(5).plus_s(f64::INFINITY), Stamp(LAST_NS));
        assert_eq!(Stamp(5).plus_s(-1e300), Stamp(0));
    }
}
