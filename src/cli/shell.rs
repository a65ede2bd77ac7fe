//! Shell completions and the man page.

use super::args::Cli;
use super::{exit, print};
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the completions of a shell.
pub(super) fn completions(shell: Shell) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lmrun", &mut text);
    print::text(&String::from_utf8_lossy(&text));
    exit::OK
}

/// Prints the man page.
pub(super) fn man() -> u8 {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .expect("writing to memory cannot fail");
    print::text(&String::from_utf8_lossy(&text));
    exit::OK
}
