//! The terminal: results on standard output, everything else on standard error.

use super::terminal::Terminal;
use crate::driver::secrets::scrub;
use console::Term;
use std::io::{IsTerminal, Result};
use std::sync::mpsc::{Sender, SyncSender};
use tokio_util::sync::CancellationToken;

/// The amount of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Results and failures.
    Quiet,
    /// Also events.
    #[default]
    Usual,
    /// Every request, too.
    Verbose,
}

/// So often the screen is drawn anew, seconds.
const FRAME_S: f64 = 0.25;
/// Without a terminal, progress is lines every so often, seconds.
const PLAIN_S: f64 = 10.0;
/// An interval that is never reached, seconds: progress is not shown.
const NEVER_S: f64 = 3600.0;

/// The output of a run on the terminal.
pub struct Screen {
    terminal: Terminal,
    /// True if standard error is a terminal whose last lines are written over.
    in_place: bool,
    verbosity: Verbosity,
    color: bool,
}

impl Screen {
    /// Returns the screen of this process. After `cancel`, the wait for a terminal that takes nothing is
    /// short.
    ///
    /// # Errors
    /// Fails if the system gives no thread to write from.
    pub fn new(verbosity: Verbosity, cancel: CancellationToken) -> Result<Self> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let in_place = std::io::stderr().is_terminal() && !is_dumb && verbosity != Verbosity::Quiet;
        let terminal = Terminal::start(in_place, cancel)?;
        Ok(Self {
            terminal,
            in_place,
            verbosity,
            color: color(),
        })
    }

    /// Lends the terminal to a prompt: until this is called with `None`, texts go to `aside`, and nothing is
    /// drawn. Sends to `shown` when everything before this is shown.
    pub fn lend(&self, aside: Option<SyncSender<String>>, shown: Sender<()>) {
        self.terminal.lend(aside);
        self.terminal.flush(shown);
    }

    /// Takes the terminal back from the prompt.
    pub fn resume(&self) {
        self.terminal.lend(None);
    }

    /// A result.
    pub fn result(&self, text: &str) {
        self.terminal.result(scrub(text));
    }

    /// Shows a text about the run.
    pub fn note(&self, text: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.terminal.note(scrub(text));
        }
    }

    /// Shows an error as it was drawn.
    pub fn fault(&self, text: &str) {
        self.terminal.warning(scrub(text));
    }

    /// Shows a warning.
    pub fn warn(&self, text: &str) {
        let mark = if self.color {
            "\u{1b}[33mwarning:\u{1b}[0m"
        } else {
            "warning:"
        };
        self.terminal.warning(scrub(&format!("{mark} {text}")));
    }

    /// Replaces the lines of progress.
    pub fn draw(&self, lines: &[String]) {
        if self.in_place {
            self.terminal
                .frame(lines.iter().map(|line| scrub(line)).collect());
        }
    }

    /// Returns the width of the lines of progress; `None` if they are not shown.
    pub fn width(&self) -> Option<usize> {
        self.in_place
            .then(|| usize::from(Term::stderr().size().1).saturating_sub(1))
    }

    /// So often what goes on is shown, seconds.
    pub fn frame_s(&self) -> f64 {
        match (self.in_place, self.verbosity) {
            (_, Verbosity::Quiet) => NEVER_S,
            (true, _) => FRAME_S,
            (false, _) => PLAIN_S,
        }
    }

    /// Returns true if only results and failures are shown.
    pub fn is_quiet(&self) -> bool {
        self.verbosity == Verbosity::Quiet
    }

    /// Returns true if every request is shown.
    pub fn is_verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// Returns true if colors are used.
    pub fn has_color(&self) -> bool {
        self.color
    }

    /// Shows the next step, in place of the last one on a terminal.
    pub fn step(&self, text: &str) {
        if self.in_place {
            self.draw(&[text.to_owned()]);
        } else {
            self.note(text);
        }
    }

    /// Takes what goes on off the terminal until there is some again.
    pub fn clear(&self) {
        self.draw(&[]);
    }

    /// A word in green or red, where the terminal has colors.
    pub fn verdict(&self, passed: bool) -> &'static str {
        match (passed, self.color) {
            (true, true) => "\u{1b}[32mpassed\u{1b}[0m",
            (true, false) => "passed",
            (false, true) => "\u{1b}[31mFAILED\u{1b}[0m",
            (false, false) => "FAILED",
        }
    }
}

/// Returns the maximum width of a result; `None` if the output is not a terminal.
pub fn result_width() -> Option<u16> {
    std::io::stdout()
        .is_terminal()
        .then(|| Term::stdout().size().1)
}

/// Returns true if errors and outcomes are colored.
pub fn color() -> bool {
    let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && std::io::stdout().is_terminal() && !asked_not_to
}
