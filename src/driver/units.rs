//! Units of options, as types.

use schemars::JsonSchema;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The maximum duration in options, seconds: over 31 years, which fits in a stamp in nanoseconds.
pub const MAX_SECONDS: f64 = 1e9;

/// A duration in seconds, not negative and at most [`MAX_SECONDS`]. `8` is read like `8.0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, JsonSchema)]
pub struct Seconds(pub f64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecondsVisitor).map(Self)
    }
}

struct SecondsVisitor;

impl Visitor<'_> for SecondsVisitor {
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
        if value.is_finite() && value > MAX_SECONDS {
            Err(E::custom(format_args!(
                "expected at most {MAX_SECONDS} seconds, found {value:e}"
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
    fn seconds_beyond_the_maximum_are_errors() {
        assert_eq!(
            serde_json::from_str::<Seconds>("1e9").expect("the longest"),
            Seconds(MAX_SECONDS)
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
    fn whole_and_fractional_numbers_are_seconds() {
        assert_eq!(
            serde_json::from_str::<Seconds>("8").expect("whole"),
            Seconds(8.0)
        );
        assert_eq!(
            serde_json::from_str::<Seconds>("0.2").expect("fractional"),
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
