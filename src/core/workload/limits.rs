//! The maximum size of a workload. Larger values are typing errors that would fill the memory.

use super::ConfigError;

/// The maximum number of tokens of a text.
pub(super) const MAX_TOKENS: u64 = 10_000_000;

/// The maximum of every other number.
const MAX_COUNT: u64 = 10_000_000;

/// The maximum number of planned requests. Each takes about 1 KiB, so these take 2 GiB.
const MAX_REQUESTS: u64 = 2_000_000;

/// Checks that each option is at least one and not too large.
pub(super) fn counts(options: &[(&'static str, u64)]) -> Result<(), ConfigError> {
    for (option, count) in options {
        if *count == 0 {
            return Err(ConfigError::new(option, "must be at least one"));
        }
        if *count > MAX_COUNT {
            return Err(ConfigError::new(
                option,
                format!("must be at most {MAX_COUNT}"),
            ));
        }
    }
    Ok(())
}

/// Checks that each option is not too large for the tokens of a text.
pub(super) fn tokens(options: &[(&'static str, u64)]) -> Result<(), ConfigError> {
    for (option, tokens) in options {
        if *tokens > MAX_TOKENS {
            return Err(ConfigError::new(
                option,
                format!("must be at most {MAX_TOKENS} tokens"),
            ));
        }
    }
    Ok(())
}

/// The source of a number of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountSource {
    /// The option `requests`.
    Option,
    /// Other options.
    Computed,
}

/// Checks that a workload has requests, and not too many.
pub(super) fn requests(count: u64, source: CountSource) -> Result<(), ConfigError> {
    if count > MAX_REQUESTS {
        return Err(ConfigError::new(
            "requests",
            format!("would be {count}: at most {MAX_REQUESTS} can be planned"),
        ));
    }
    match (count, source) {
        (0, CountSource::Option) => Err(ConfigError::new("requests", "must be at least one")),
        (0, CountSource::Computed) => Err(ConfigError::new(
            "requests",
            "must be at least one (`duration_s` × `qps`, rounded down)",
        )),
        _ => Ok(()),
    }
}
