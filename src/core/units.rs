//! Units as types, tolerant of how people write numbers.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The longest span of time that options take, in seconds: over 31 years, which a stamp in nanoseconds can hold.
pub const LONGEST_S: f64 = 1e9;

/// A span of time in seconds, not negative and at most [`LONGEST_S`]; `8` and `8.0` are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
pub struct Seconds(pub f64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Number).map(Self)
    }
}

struct Number;

impl Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds, zero or more")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        if value.is_finite() && value > LONGEST_S {
            Err(E::custom(format_args!(
                "expected at most {LONGEST_S} seconds, found {value:e}"
            )))
        } else if value >= 0.0 && value.is_finite() {
            Ok(value)
        } else {
            Err(E::invalid_value(serde::de::Unexpected::Float(value), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_beyond_the_longest_span_are_refused() {
        assert_eq!(
            serde_json::from_str::<Seconds>("1e9").expect("the longest"),
            Seconds(LONGEST_S)
        );
        let error = serde_json::from_str::<Seconds>("1e300")
            .expect_err("too long")
            .to_string();
        assert!(
            error.contains("expected at most 1000000000 seconds, found 1e300"),
            "{error}"
        );
    }

    #[test]
    fn whole_and_broken_numbers_are_seconds() {
        assert_eq!(
            serde_json::from_str::<Seconds>("8").expect("whole"),
            Seconds(8.0)
        );
        assert_eq!(
            serde_json::from_str::<Seconds>("0.2").expect("broken"),
            Seconds(0.2)
        );
        let error = serde_json::from_str::<Seconds>("-1")
            .expect_err("negative")
            .to_string();
        assert!(
            error.contains("expected a number of seconds, zero or more"),
            "{error}"
        );
    }
}
