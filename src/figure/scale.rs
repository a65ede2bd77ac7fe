//! From values to places, and where the labels go.

use super::{Axis, Kind};

/// How the values of an axis become places.
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    kind: Kind,
}

impl Scale {
    /// `from` and `to` are the places of the axis' ends; `values` what must fit on it.
    pub fn new(axis: &Axis, values: (f64, f64), from: f64, to: f64) -> Self {
        let (low, high) = ends(&axis.kind, values);
        Self {
            low,
            high,
            from,
            to,
            kind: axis.kind.clone(),
        }
    }

    /// The place of a value.
    pub fn at(&self, value: f64) -> f64 {
        let place = |value: f64| {
            if self.kind == Kind::Log {
                value.max(self.low).log10()
            } else {
                value
            }
        };
        let share = (place(value) - place(self.low)) / (place(self.high) - place(self.low));
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// How long one unit is.
    pub fn unit(&self) -> f64 {
        ((self.to - self.from) / (self.high - self.low)).abs()
    }

    /// Places and labels, about `wanted` of them.
    pub fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let labelled = |value: f64, text: String| (self.at(value), text);
        match &self.kind {
            Kind::Named(names) => {
                let every = names.len().div_ceil(8).max(1);
                let some = names.iter().enumerate().step_by(every);
                some.map(|(i, name)| {
                    labelled(i as f64, super::text::cut(name, 60 / wanted.clamp(3, 6)))
                })
                .collect()
            }
            Kind::Log => decades(self.low, self.high)
                .into_iter()
                .map(|v| labelled(v, plain(v, v)))
                .collect(),
            Kind::Share => [0.0, 0.25, 0.5, 0.75, 1.0]
                .map(|v| labelled(v, format!("{:.0} %", v * 100.0)))
                .into(),
            Kind::Linear | Kind::Near | Kind::Whole | Kind::Down => {
                let mut step = nice((self.high - self.low) / wanted as f64);
                if matches!(self.kind, Kind::Whole | Kind::Down) {
                    step = step.max(1.0).round();
                }
                let first = (self.low / step).ceil() as i64;
                let last = (self.high / step + 1e-9).floor() as i64;
                (first..=last)
                    .map(|i| i as f64 * step)
                    .map(|v| labelled(v, plain(v, step)))
                    .collect()
            }
        }
    }
}

fn ends(kind: &Kind, (low, high): (f64, f64)) -> (f64, f64) {
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

/// The next of 1, 2, 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|nice| nice * power >= step * 0.999);
    nice.unwrap_or(10.0) * power
}

fn decades(low: f64, high: f64) -> Vec<f64> {
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let fine = high / low < 200.0;
    let of = |power: i32| {
        let digits: &[f64] = if fine { &[1.0, 2.0, 5.0] } else { &[1.0] };
        digits.iter().map(move |digit| digit * 10f64.powi(power))
    };
    powers
        .flat_map(of)
        .filter(|value| (low..=high).contains(value))
        .collect()
}

/// A label as short as its step allows.
fn plain(value: f64, step: f64) -> String {
    if value.abs() >= 1e4 {
        let decimals = usize::from(step < 1e3);
        return format!("{:.decimals$}k", value / 1e3);
    }
    let decimals = (-step.abs().max(1e-9).log10().floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}
