//! Output of commands.
//!
//! Errors of writing are ignored: a reader that has closed the pipe, such as `head`, has read
//! enough.

use std::io::Write;

/// Writes a text to standard output.
pub(super) fn text(text: &str) {
    let _ = write!(std::io::stdout(), "{text}");
}

/// Writes a line to standard output.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes a line to standard error.
pub(super) fn to_stderr(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
