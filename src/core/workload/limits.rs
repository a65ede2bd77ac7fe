//! How much a workload may have. What is beyond that is a slip of the hand, and would fill the memory.

use super::ConfigError;

/// No text has more tokens.
pub const LONGEST: u64 = 10_000_000;

/// There are no more of anything.
const MOST: u64 = 10_000_000;

/// The number of requests that a workload may plan: each takes about 1 KiB, so these take 2 GiB.
const MOST_REQUESTS: u64 = 2_000_000;

/// That there are some of each option, and not too many.
pub fn counts(options: &[(&'static str, u64)]) -> Result<(), ConfigError> {
    options.iter().try_for_each(|(option, count)| {
        ConfigError::first(&[
            (*count == 0, *option, "must be at least one"),
            (*count > MOST, *option, &format!("must be at most {MOST}")),
        ])
    })
}

/// That no text of each option is too long.
pub fn tokens(options: &[(&'static str, u64)]) -> Result<(), ConfigError> {
    let problem = format!("must be at most {LONGEST} tokens");
    options.iter().try_for_each(|(option, tokens)| {
        ConfigError::first(&[(*tokens > LONGEST, *option, problem.as_str())])
    })
}

/// That a workload has some requests, and not too many.
pub fn requests(count: u64, given: bool) -> Result<(), ConfigError> {
    let few = if given {
        "must be at least one"
    } else {
        "must be at least one (`duration_s` × `qps`, rounded down)"
    };
    let many = format!("would be {count}: at most {MOST_REQUESTS} can be planned");
    ConfigError::first(&[
        (count == 0, "requests", few),
        (count > MOST_REQUESTS, "requests", &many),
    ])
}
