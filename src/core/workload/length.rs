//! Lengths in tokens, fixed or drawn.

use super::ConfigError;
use super::limits::MAX_TOKENS;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal, Normal, Uniform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A length in tokens: a number, or one drawn for each request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected tokens: a number, #{ uniform: [min, max] }, #{ normal: [mean, std] } or #{ lognormal: [mean, std] }"
)]
pub enum Length {
    /// The same for all.
    Fixed(u64),
    /// Any from the first to the second.
    Uniform {
        /// The shortest and the longest.
        uniform: [u64; 2],
    },
    /// Around a mean.
    Normal {
        /// The mean and the standard deviation.
        normal: [f64; 2],
    },
    /// Around a mean, with a long tail.
    LogNormal {
        /// The mean and the standard deviation of the lengths, not of their logarithms.
        lognormal: [f64; 2],
    },
}

impl Length {
    /// The length, if it can be drawn.
    pub(super) fn check(&self, option: &'static str) -> Result<(), ConfigError> {
        let finite = |values: [f64; 2], least: f64| {
            values[0] >= least && values[1] >= 0.0 && values[1].is_finite()
        };
        let (is_fine, longest) = match *self {
            Self::Fixed(tokens) => (true, tokens as f64),
            Self::Uniform {
                uniform: [min, max],
            } => (min <= max, max as f64),
            Self::Normal { normal } => (finite(normal, 0.0), normal[0]),
            Self::LogNormal { lognormal } => (finite(lognormal, f64::MIN_POSITIVE), lognormal[0]),
        };
        let order = "has the pair [min, max] or [mean, std] the wrong way round, or below zero";
        ConfigError::first(&[
            (!is_fine, option, order),
            (
                longest > MAX_TOKENS as f64,
                option,
                &format!("must be at most {MAX_TOKENS} tokens"),
            ),
        ])
    }

    /// One length, not below `least`.
    pub fn draw(&self, least: u64, random: &mut ChaCha8Rng) -> u64 {
        // A long tail is cut.
        let rounded = |length: f64| length.round().clamp(0.0, MAX_TOKENS as f64) as u64;
        // The parameters were checked; a distribution that is refused all the same is its mean.
        let drawn = match *self {
            Self::Fixed(tokens) => tokens,
            Self::Uniform {
                uniform: [min, max],
            } => Uniform::new_inclusive(min, max).map_or(min, |uniform| uniform.sample(random)),
            Self::Normal {
                normal: [mean, std],
            } => rounded(Normal::new(mean, std).map_or(mean, |normal| normal.sample(random))),
            Self::LogNormal {
                lognormal: [mean, std],
            } => {
                let drawn = LogNormal::from_mean_cv(mean, std / mean);
                rounded(drawn.map_or(mean, |lognormal| lognormal.sample(random)))
            }
        };
        drawn.max(least)
    }
}

impl std::fmt::Display for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(tokens) => write!(f, "{tokens}"),
            Self::Uniform {
                uniform: [min, max],
            } => write!(f, "{min} to {max}"),
            Self::Normal {
                normal: [mean, std],
            } => write!(f, "normal {mean} ± {std}"),
            Self::LogNormal {
                lognormal: [mean, std],
            } => write!(f, "lognormal {mean} ± {std}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::seed::random;
    use super::*;

    fn length(json: &str) -> Length {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn mean_and_spread_are_those_asked_for() {
        for (json, mean, std) in [
            ("100", 100.0, 0.0),
            (r#"{"uniform": [100, 300]}"#, 200.0, 58.0),
            (r#"{"normal": [1000, 100]}"#, 1000.0, 100.0),
            (r#"{"lognormal": [1000, 500]}"#, 1000.0, 500.0),
        ] {
            let (length, mut random) = (length(json), random(1, "test"));
            length.check("x").expect(json);
            let drawn: Vec<f64> = (0..20_000)
                .map(|_| length.draw(0, &mut random) as f64)
                .collect();
            let seen = drawn.iter().sum::<f64>() / drawn.len() as f64;
            let spread =
                (drawn.iter().map(|x| (x - seen).powi(2)).sum::<f64>() / drawn.len() as f64).sqrt();
            assert!((seen - mean).abs() <= 0.02 * mean, "{json}: mean {seen}");
            assert!(
                (spread - std).abs() <= 0.05 * std + 0.1,
                "{json}: spread {spread}"
            );
        }
    }

    #[test]
    fn the_floor_holds_and_nonsense_is_refused() {
        let mut random = random(1, "test");
        assert!((0..1000).all(|_| length(r#"{"normal": [1, 50]}"#).draw(1, &mut random) >= 1));
        assert!(length(r#"{"uniform": [3, 2]}"#).check("x").is_err());
        assert!(length(r#"{"lognormal": [0, 2]}"#).check("x").is_err());
        for json in [
            "10000001",
            r#"{"uniform": [1, 10000001]}"#,
            r#"{"normal": [1e8, 1]}"#,
            r#"{"lognormal": [1e8, 1]}"#,
        ] {
            let error = length(json).check("x").expect_err(json).to_string();
            assert_eq!(error, "`x` must be at most 10000000 tokens");
        }
        let error = serde_json::from_str::<Length>(r#"{"uniform": 3}"#)
            .expect_err("no pair")
            .to_string();
        assert!(error.contains("#{ uniform: [min, max] }"), "{error}");
    }
}
