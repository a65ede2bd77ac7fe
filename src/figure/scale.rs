//! The positions of values and labels on an axis.

use super::text::cut;
use super::{Axis, Kind};
use std::ops::Range;

/// Maps the values of an axis to positions.
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    kind: Kind,
}

impl Scale {
    /// Returns the scale of an axis for `values`, with the positions of the axis' ends.
    pub(crate) fn new(axis: &Axis, values: Range<f64>, [from, to]: [f64; 2]) -> Self {
        let (low, high) = ends(&axis.kind, values);
        Self {
            low,
            high,
            from,
            to,
            kind: axis.kind.clone(),
        }
    }

    /// The position of a value.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let low = self.linear(self.low);
        let high = self.linear(self.high);
        let share = (self.linear(value) - low) / (high - low);
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// The value, or its logarithm on a logarithmic axis.
    fn linear(&self, value: f64) -> f64 {
        if self.kind == Kind::Log {
            value.max(self.low).log10()
        } else {
            value
        }
    }

    /// The length of one unit.
    pub(crate) fn unit(&self) -> f64 {
        ((self.to - self.from) / (self.high - self.low)).abs()
    }

    /// Returns the positions and the texts of about `wanted` labels.
    pub(crate) fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let mut ticks = Vec::new();
        match &self.kind {
            Kind::Named(names) => {
                let every = names.len().div_ceil(8).max(1);
                let letters = 60 / wanted.clamp(3, 6);
                for (i, name) in names.iter().enumerate().step_by(every) {
                    ticks.push((i as f64, cut(name, letters)));
                }
            }
            Kind::Log => {
                for value in decades(self.low, self.high) {
                    ticks.push((value, short(value, value)));
                }
            }
            Kind::Share => {
                for value in [0.0, 0.25, 0.5, 0.75, 1.0] {
                    ticks.push((value, format!("{:.0} %", value * 100.0)));
                }
            }
            Kind::Linear | Kind::Near | Kind::Whole | Kind::Down => {
                let mut step = round_step((self.high - self.low) / wanted as f64);
                if matches!(self.kind, Kind::Whole | Kind::Down) {
                    step = step.max(1.0).round();
                }
                let first = (self.low / step).ceil() as i64;
                let last = (self.high / step + 1e-9).floor() as i64;
                for i in first..=last {
                    let value = i as f64 * step;
                    ticks.push((value, short(value, step)));
                }
            }
        }
        for (at, _) in &mut ticks {
            *at = self.at(*at);
        }
        ticks
    }
}

/// Returns the values at the ends of an axis.
fn ends(kind: &Kind, values: Range<f64>) -> (f64, f64) {
    let Range {
        start: low,
        end: high,
    } = values;
    match kind {
        Kind::Named(names) => (-0.5, names.len().max(1) as f64 - 0.5),
        Kind::Share => (0.0, 1.0),
        Kind::Log => {
            let low = if low > 0.0 { low } else { high.max(1.0) / 1e3 };
            (low * 0.95, high.max(low * 1.1) * 1.05)
        }
        Kind::Near if high > low => (low - (high - low) * 0.06, high + (high - low) * 0.06),
        Kind::Down => (low - 0.5, high + 0.5),
        Kind::Whole => (low, if high > low { high } else { low + 1.0 }),
        Kind::Linear | Kind::Near if high > 0.0 => (low.min(0.0), high * 1.04),
        Kind::Linear | Kind::Near => (low.min(0.0), 1.0),
    }
}

/// Rounds a step up to 1, 2 or 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    for factor in [1.0, 2.0, 5.0] {
        if factor * power >= step * 0.999 {
            return factor * power;
        }
    }
    10.0 * power
}

/// Returns 1, 2 and 5 times the powers of ten from `low` to `high`, or only the powers if there are
/// many.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let digits: &[f64] = if high / low < 200.0 {
        &[1.0, 2.0, 5.0]
    } else {
        &[1.0]
    };
    let mut values = Vec::new();
    for power in low.log10().floor() as i32..=high.log10().ceil() as i32 {
        for digit in digits {
            let value = digit * 10f64.powi(power);
            if (low..=high).contains(&value) {
                values.push(value);
            }
        }
    }
    values
}

/// Formats a label as short as its step allows.
fn short(value: f64, step: f64) -> String {
    if value.abs() >= 1e4 {
        let decimals = usize::from(step < 1e3);
        return format!("{:.decimals$}k", value / 1e3);
    }
    let decimals = (-step.abs().max(1e-9).log10().floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}
