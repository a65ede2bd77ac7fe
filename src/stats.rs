//! Statistics of measured values: the one implementation of percentiles.

/// The finite values of one measure, sorted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution(Vec<f64>);

/// A percentile, or the maximum if there are too few values for the percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tail {
    /// The percentile.
    Percentile(f64),
    /// The largest value, and the number of values.
    MaxOf(f64, usize),
}

impl Tail {
    /// Formats the value with `number`, and marks it if it is the maximum.
    pub(crate) fn text(self, number: impl Fn(f64) -> String) -> String {
        match self {
            Self::Percentile(value) => number(value),
            Self::MaxOf(value, count) => format!("max of {count}: {}", number(value)),
        }
    }
}

/// The number of values that percentile `p`, from 0 to 100, needs. With fewer values, the largest
/// one is not an upper end of a two-sided 95 % interval: all values may lie below the percentile.
pub(crate) fn least_n(p: f64) -> usize {
    const ABOVE: f64 = 0.025;
    (ABOVE.ln() / (p / 100.0).ln()).ceil() as usize
}

/// Returns the percentile `p`, from 0 to 100, of `count` sorted values, interpolated between
/// neighbors as numpy does by default: at the position `p / 100 * (count - 1)`. `None` without
/// values, or if `p` is outside 0 to 100.
fn interpolate(p: f64, count: u64, value_at: impl Fn(u64) -> f64) -> Option<f64> {
    let last = count.checked_sub(1)?;
    if !(0.0..=100.0).contains(&p) {
        return None;
    }
    let position = p / 100.0 * last as f64;
    let index = position as u64;
    let low = value_at(index);
    let high = value_at(index.saturating_add(1).min(last));
    Some(low + (high - low) * position.fract())
}

impl FromIterator<f64> for Distribution {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut distribution = Self::default();
        distribution.extend(values);
        distribution
    }
}

impl Extend<f64> for Distribution {
    /// Adds values. The sort merges two sorted runs, so adding few values to many is cheap.
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        let before = self.0.len();
        self.0
            .extend(values.into_iter().filter(|value| value.is_finite()));
        self.0[before..].sort_by(f64::total_cmp);
        self.0.sort_by(f64::total_cmp);
    }
}

impl Distribution {
    /// The values, ascending.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The number of values.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the percentile `p`, from 0 to 100, as numpy computes it by default. `None` without
    /// values, or if `p` is outside 0 to 100.
    pub fn percentile(&self, p: f64) -> Option<f64> {
        interpolate(p, self.0.len() as u64, |index| self.0[index as usize])
    }

    /// Returns the percentile `p`, or the largest value if there are fewer than [`least_n`].
    pub(crate) fn percentile_or_max(&self, p: f64) -> Option<Tail> {
        let count = self.count();
        if count < least_n(p) {
            return Some(Tail::MaxOf(self.max()?, count));
        }
        self.percentile(p).map(Tail::Percentile)
    }

    /// The arithmetic mean.
    pub(crate) fn mean(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.iter().sum::<f64>() / self.0.len() as f64)
    }

    /// The smallest value.
    pub(crate) fn min(&self) -> Option<f64> {
        self.0.first().copied()
    }

    /// The largest value.
    pub(crate) fn max(&self) -> Option<f64> {
        self.0.last().copied()
    }
}

/// Sorted values, each with its number of occurrences: a million equal values take the memory of
/// one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RepeatedValues {
    /// Each value, and the number of values up to it.
    values: Vec<(f64, u64)>,
    sum: f64,
}

impl FromIterator<(f64, u64)> for RepeatedValues {
    fn from_iter<I: IntoIterator<Item = (f64, u64)>>(values: I) -> Self {
        let mut values: Vec<_> = values.into_iter().filter(|(_, times)| *times > 0).collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut sum = 0.0;
        let mut count = 0_u64;
        for (value, times) in &mut values {
            sum += *value * *times as f64;
            count = count.saturating_add(*times);
            *times = count;
        }
        Self { values, sum }
    }
}

impl RepeatedValues {
    /// The number of values.
    pub(crate) fn count(&self) -> u64 {
        self.values.last().map_or(0, |(_, count)| *count)
    }

    /// Returns the percentile `p`, as [`Distribution::percentile`] does.
    pub(crate) fn percentile(&self, p: f64) -> Option<f64> {
        interpolate(p, self.count(), |index| {
            let place = self.values.partition_point(|(_, count)| *count <= index);
            self.values[place.min(self.values.len() - 1)].0
        })
    }

    /// The arithmetic mean.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum / self.count() as f64)
    }

    /// The largest value.
    pub(crate) fn max(&self) -> Option<f64> {
        self.values.last().map(|(value, _)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_equal_numpys() {
        let values: Distribution = [4.0, 1.0, 3.0, 2.0].into_iter().collect();
        assert_eq!(values.percentile(0.0), Some(1.0));
        assert_eq!(values.percentile(50.0), Some(2.5));
        assert!((values.percentile(99.0).expect("some") - 3.97).abs() < 1e-12);
        assert_eq!(values.percentile(100.0), Some(4.0));
        assert_eq!(
            (values.min(), values.mean(), values.max(), values.count()),
            (Some(1.0), Some(2.5), Some(4.0), 4)
        );
    }

    #[test]
    fn least_n_gives_a_95_percent_interval_an_upper_end() {
        let least = [50.0, 90.0, 95.0, 99.0, 99.9].map(least_n);
        assert_eq!(least, [6, 36, 72, 368, 3688]);
    }

    fn tail_text(count: u32, p: f64) -> String {
        let values: Distribution = (1..=count).map(f64::from).collect();
        let tail = values.percentile_or_max(p).expect("values");
        tail.text(|value| format!("{value:.2}"))
    }

    #[test]
    fn percentile_or_max_of_too_few_values_is_the_max() {
        assert_eq!(tail_text(10, 99.0), "max of 10: 10.00");
        assert_eq!(tail_text(367, 99.0), "max of 367: 367.00");
        assert_eq!(tail_text(368, 99.0), "364.33");
        assert_eq!(tail_text(36, 90.0), "32.50");
        assert_eq!(Distribution::default().percentile_or_max(99.0), None);
    }

    #[test]
    fn percentile_is_missing_without_values_and_outside_0_to_100() {
        let none: Distribution = [f64::NAN].into_iter().collect();
        assert_eq!(
            (none.count(), none.percentile(50.0), none.mean()),
            (0, None, None)
        );
        let one: Distribution = [1.0].into_iter().collect();
        assert_eq!(
            (one.percentile(101.0), one.percentile(f64::NAN)),
            (None, None)
        );
    }

    proptest! {
        #[test]
        fn repeated_values_equal_a_distribution_of_all(
            values in prop::collection::vec((-1e6f64..1e6, 0u64..9), 0..30),
            p in 0f64..100.0,
        ) {
            let mut all = Distribution::default();
            for (value, times) in &values {
                all.extend(std::iter::repeat_n(*value, *times as usize));
            }
            let repeated: RepeatedValues = values.into_iter().collect();
            prop_assert_eq!(repeated.count(), all.count() as u64);
            prop_assert_eq!(repeated.percentile(p), all.percentile(p));
            prop_assert_eq!(repeated.max(), all.max());
            if let (Some(a), Some(b)) = (repeated.mean(), all.mean()) {
                prop_assert!((a - b).abs() < 1e-6);
            }
        }

        #[test]
        fn extended_distribution_equals_one_of_all_values(
            first in prop::collection::vec(any::<f64>(), 0..20),
            then in prop::collection::vec(any::<f64>(), 0..20),
        ) {
            let mut grown: Distribution = first.iter().copied().collect();
            grown.extend(then.iter().copied());
            prop_assert_eq!(grown, first.into_iter().chain(then).collect());
        }

        #[test]
        fn percentiles_increase_between_min_and_max(
            values in prop::collection::vec(-1e6f64..1e6, 1..50),
            a in 0f64..100.0,
            b in 0f64..100.0,
        ) {
            let values: Distribution = values.into_iter().collect();
            let low = values.percentile(a.min(b));
            let high = values.percentile(a.max(b));
            prop_assert!(values.min() <= low && low <= high && high <= values.max());
        }
    }
}
