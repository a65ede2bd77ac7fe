//! `lmrun new test NAME`: a script to start from.

use super::{complain, exit};
use clap::{Args, Subcommand};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The script, with the name of its test left open.
const TEST: &str = include_str!("new_test.rhai");

/// A script to start from.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// What to make.
    #[command(subcommand)]
    what: What,
}

/// What can be made.
#[derive(Debug, Subcommand)]
enum What {
    /// A script with one test, which runs as it is: `lmrun NAME.rhai`.
    Test {
        /// The name of the test: letters, digits and `_`.
        name: String,
        /// The file to write [default: NAME.rhai].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Writes a file that is not there yet.
pub fn run(args: &NewArgs) -> u8 {
    let What::Test { name, output } = &args.what;
    let name = name.strip_suffix(".rhai").unwrap_or(name);
    let bare = name.strip_prefix("test_").unwrap_or(name);
    if bare.is_empty() || !bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return complain(&format!(
            "`{name}` cannot name a test: letters, digits and `_` can, such as `prefix_cache`"
        ));
    }
    let path = output
        .clone()
        .unwrap_or_else(|| format!("{name}.rhai").into());
    match write(&path, &TEST.replace("NAME", bare)) {
        Ok(()) => {
            println!(
                "wrote {}: `lmrun {0}` runs it, `lmrun check {0}` looks for mistakes",
                path.display()
            );
            exit::OK
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => complain(&format!(
            "`{}` is there already; choose another with `-o FILE`",
            path.display()
        )),
        Err(e) => complain(&format!(
            "cannot write `{}`: {e}; choose another with `-o FILE`",
            path.display()
        )),
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    File::create_new(path)?.write_all(text.as_bytes())
}
