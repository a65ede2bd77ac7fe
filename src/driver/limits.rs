//! Limits of the system that a load client meets.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the number of files that this process may open as far as the system lets it.
pub fn raise_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
