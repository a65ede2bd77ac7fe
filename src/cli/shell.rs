//! What a shell wants to know of lmrun: completions and the man page.

use super::args::Cli;
use super::exit;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

/// Prints the completions of a shell.
pub fn completions(shell: Shell) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lmrun", &mut text);
    print(&text)
}

/// Prints the man page.
pub fn man() -> u8 {
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(Cli::command());
    page.render(&mut text)
        .expect("writing to memory cannot fail");
    print(&text)
}

fn print(text: &[u8]) -> u8 {
    // A reader that went away has read enough.
    let _ = std::io::stdout().write_all(text);
    exit::OK
}
