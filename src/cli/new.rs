//! `lmrun new test NAME`: creates a script.

use super::{complain, exit, print};
use clap::{Args, Subcommand};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The script, with `NAME` in place of the name of the test.
const TEST: &str = include_str!("new_test.rhai");

/// Arguments of `lmrun new`.
#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The kind of script.
    #[command(subcommand)]
    kind: NewKind,
}

/// The kinds of scripts.
#[derive(Debug, Subcommand)]
enum NewKind {
    /// Create a script with one test, to be run with `lmrun NAME.rhai`.
    Test {
        /// Name of the test: letters, digits and `_`.
        name: String,
        /// File to write [default: NAME.rhai].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Writes a new file and returns the exit code.
pub(super) fn run(args: &NewArgs) -> u8 {
    let NewKind::Test { name, output } = &args.kind;
    let name = name.strip_suffix(".rhai").unwrap_or(name);
    let bare = name.strip_prefix("test_").unwrap_or(name);
    if bare.is_empty() || !bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return complain(&format!(
            "invalid test name `{name}`: expected letters, digits and `_`, such as `prefix_cache`"
        ));
    }
    let path = output
        .clone()
        .unwrap_or_else(|| format!("{name}.rhai").into());
    match write(&path, &TEST.replace("NAME", bare)) {
        Ok(()) => {
            let path = path.display();
            print::line(&format!(
                "wrote {path}: `lmrun {path}` runs it, `lmrun check {path}` finds mistakes"
            ));
            exit::OK
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => complain(&format!(
            "`{}` already exists; choose another file with `-o FILE`",
            path.display()
        )),
        Err(e) => complain(&format!(
            "cannot write `{}`: {e}; choose another file with `-o FILE`",
            path.display()
        )),
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    File::create_new(path)?.write_all(text.as_bytes())
}
