//! Units as types, tolerant of how people write numbers.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// A span of time in seconds, finite and not negative; `8` and `8.0` are the same.
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
        if value.is_finite() && value >= 0.0 {
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
    fn whole_and_broken_numbers_are_seconds() {
        assert_eq!(serde_json::from_str::<Seconds>("8").expect("whole"), Seconds(8.0));
        assert_eq!(serde_json::from_str::<Seconds>("0.2").expect("broken"), Seconds(0.2));
        let error = serde_json::from_str::<Seconds>("-1").expect_err("negative").to_string();
        assert!(error.contains("expected a number of seconds, zero or more"), "{error}");
    }
}
