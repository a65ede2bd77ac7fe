//! Distributions of measured values.

/// The values of one measure, sorted. Requests without the measure are not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution(Vec<f64>);

/// A percentile, or the maximum of values that are too few for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tail {
    /// The percentile.
    Percentile(f64),
    /// The largest value, and the number of values.
    MaxOf(f64, usize),
}

impl Tail {
    /// The value, written by `number`, with a word if it is not the percentile.
    pub fn text(self, number: impl Fn(f64) -> String) -> String {
        match self {
            Self::Percentile(value) => number(value),
            Self::MaxOf(value, count) => format!("max of {count}: {}", number(value)),
        }
    }
}

/// The number of values that percentile `p` needs, from 0 to 100: with fewer, the largest value is not an
/// upper end of a two-sided 95 % interval, as all values may lie below the percentile.
pub fn least_n(p: f64) -> usize {
    const ABOVE: f64 = 0.025;
    (ABOVE.ln() / (p / 100.0).ln()).ceil() as usize
}

impl FromIterator<f64> for Distribution {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

impl Extend<f64> for Distribution {
    /// Adds what has come since. Two sorted runs are merged, so this is cheap for few among many.
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

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The percentile `p` of 0 to 100, interpolated between neighbours as numpy does by
    /// default: position `p / 100 * (n - 1)`. `None` of nothing, or outside 0 to 100.
    pub fn percentile(&self, p: f64) -> Option<f64> {
        let last = self.0.len().checked_sub(1)?;
        if !(0.0..=100.0).contains(&p) {
            return None;
        }
        let position = p / 100.0 * last as f64;
        let (low, share) = (position.floor() as usize, position.fract());
        let high = (low + 1).min(last);
        Some(self.0[low] + (self.0[high] - self.0[low]) * share)
    }

    /// The percentile `p`, or the largest value if there are fewer than [`least_n`].
    pub fn percentile_or_max(&self, p: f64) -> Option<Tail> {
        let count = self.count();
        if count < least_n(p) {
            return Some(Tail::MaxOf(self.max()?, count));
        }
        self.percentile(p).map(Tail::Percentile)
    }

    /// The arithmetic mean.
    pub fn mean(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.iter().sum::<f64>() / self.0.len() as f64)
    }

    /// The smallest value.
    pub fn min(&self) -> Option<f64> {
        self.0.first().copied()
    }

    /// The largest value.
    pub fn max(&self) -> Option<f64> {
        self.0.last().copied()
    }
}

/// Sorted values, each with the number of times it occurs: a million equal values take the memory of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weighted {
    /// Each value, and the number of values up to it.
    values: Vec<(f64, u64)>,
    sum: f64,
}

impl FromIterator<(f64, u64)> for Weighted {
    fn from_iter<I: IntoIterator<Item = (f64, u64)>>(values: I) -> Self {
        let mut values: Vec<_> = values.into_iter().filter(|(_, times)| *times > 0).collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let sum = values
            .iter()
            .map(|(value, times)| value * *times as f64)
            .sum();
        let mut count = 0_u64;
        for (_, times) in &mut values {
            count = count.saturating_add(*times);
            *times = count;
        }
        Self { values, sum }
    }
}

impl Weighted {
    /// The number of values.
    pub fn count(&self) -> u64 {
        self.values.last().map_or(0, |(_, count)| *count)
    }

    /// The percentile `p` of 0 to 100, as [`Distribution::percentile`] computes it.
    pub fn percentile(&self, p: f64) -> Option<f64> {
        let last = self.count().checked_sub(1)?;
        let position = p / 100.0 * last as f64;
        let at = |index: u64| {
            let place = self.values.partition_point(|(_, count)| *count <= index);
            self.values[place.min(self.values.len() - 1)].0
        };
        let low = at(position as u64);
        Some(low + (at((position as u64).saturating_add(1)) - low) * position.fract())
    }

    /// The arithmetic mean.
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum / self.count() as f64)
    }

    /// The largest value.
    pub fn max(&self) -> Option<f64> {
        self.values.last().map(|(value, _)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_numpys() {
        let seen: Distribution = [4.0, 1.0, 3.0, 2.0].into_iter().collect();
        assert_eq!(seen.percentile(0.0), Some(1.0));
        assert_eq!(seen.percentile(50.0), Some(2.5));
        assert!((seen.percentile(99.0).expect("some") - 3.97).abs() < 1e-12);
        assert_eq!(seen.percentile(100.0), Some(4.0));
        assert_eq!(
            (seen.min(), seen.mean(), seen.max(), seen.count()),
            (Some(1.0), Some(2.5), Some(4.0), 4)
        );
    }

    #[test]
    fn least_n_is_where_a_95_percent_interval_has_an_upper_end() {
        let least = [50.0, 90.0, 95.0, 99.0, 99.9].map(least_n);
        assert_eq!(least, [6, 36, 72, 368, 3688]);
    }

    #[test]
    fn percentile_or_max_is_the_max_of_too_few_values() {
        let values = |count: u32| (1..=count).map(f64::from).collect::<Distribution>();
        let shown = |values: &Distribution, p| {
            let tail = values.percentile_or_max(p).expect("values");
            tail.text(|value| format!("{value:.2}"))
        };
        assert_eq!(shown(&values(10), 99.0), "max of 10: 10.00");
        assert_eq!(shown(&values(367), 99.0), "max of 367: 367.00");
        assert_eq!(shown(&values(368), 99.0), "364.33");
        assert_eq!(shown(&values(36), 90.0), "32.50");
        assert_eq!(values(0).percentile_or_max(99.0), None);
    }

    #[test]
    fn nothing_has_no_percentile_and_nan_is_nothing() {
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
        fn weighted_values_are_as_many_equal_ones(
            values in prop::collection::vec((-1e6f64..1e6, 0u64..9), 0..30), p in 0f64..100.0,
        ) {
            let all: Distribution =
                values.iter().flat_map(|(value, times)| (0..*times).map(|_| *value)).collect();
            let weighted: Weighted = values.into_iter().collect();
            prop_assert_eq!(weighted.count(), all.count() as u64);
            prop_assert_eq!(weighted.percentile(p), all.percentile(p));
            prop_assert_eq!(weighted.max(), all.max());
            let near = |(a, b): (f64, f64)| (a - b).abs() < 1e-6;
            prop_assert!(weighted.mean().zip(all.mean()).is_none_or(near));
        }

        #[test]
        fn it_grows_into_what_all_at_once_are(
            first in prop::collection::vec(any::<f64>(), 0..20), then in prop::collection::vec(any::<f64>(), 0..20),
        ) {
            let mut grown: Distribution = first.iter().copied().collect();
            grown.extend(then.iter().copied());
            prop_assert_eq!(grown, first.into_iter().chain(then).collect());
        }

        #[test]
        fn percentiles_grow_and_stay_inside(
            values in prop::collection::vec(-1e6f64..1e6, 1..50), a in 0f64..100.0, b in 0f64..100.0,
        ) {
            let seen: Distribution = values.into_iter().collect();
            let (low, high) = (seen.percentile(a.min(b)), seen.percentile(a.max(b)));
            prop_assert!(seen.min() <= low && low <= high && high <= seen.max());
        }
    }
}
