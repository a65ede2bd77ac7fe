//! Limits of the system that a load client meets.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many files this process may have open; `None` where the system does not tell.
pub fn max_descriptors() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

/// Raises the number of files that this process may open as far as the system lets it.
pub fn raise_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
