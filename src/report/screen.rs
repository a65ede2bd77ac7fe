//! The terminal: results on standard output, everything else on standard error.

use super::live::Region;
use crate::driver::secrets::scrub;
use console::Term;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::SyncSender;

/// How much is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Results and failures.
    Quiet,
    /// What happens, too.
    #[default]
    Usual,
    /// Every request, too.
    Verbose,
}

/// So often the screen is drawn anew, seconds.
const FRAME_S: f64 = 0.25;
/// Without a terminal, progress is lines every so often, seconds.
const PLAIN_S: f64 = 10.0;
/// When nothing is shown of what goes on, seconds.
const NEVER_S: f64 = 3600.0;

/// What people see of a run.
pub struct Screen {
    terminal: Term,
    /// The lines in place, where there is a terminal and something may be shown.
    region: Option<Region>,
    verbosity: Verbosity,
    color: bool,
    /// The way around a prompt that reads from the terminal.
    aside: Option<SyncSender<String>>,
}

impl Screen {
    /// The screen as this process has it.
    pub fn new(verbosity: Verbosity) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let in_place = std::io::stderr().is_terminal() && !is_dumb && verbosity != Verbosity::Quiet;
        let region = in_place.then(Region::default);
        Self { terminal: Term::stderr(), region, verbosity, color: color(), aside: None }
    }

    /// Leaves the terminal to a prompt: until this is called with `None`, texts go to `aside`, and nothing is
    /// drawn.
    pub fn lend(&mut self, aside: Option<SyncSender<String>>) {
        self.clear();
        self.aside = aside;
    }

    /// A result.
    pub fn result(&mut self, text: &str) {
        if self.aside.is_some() {
            return self.above(&scrub(text));
        }
        let lines = self.region.as_ref().map(|region| region.lines().to_vec()).unwrap_or_default();
        self.draw(&[]);
        // A reader that went away is not our failure.
        let _ = writeln!(std::io::stdout(), "{}", scrub(text));
        self.draw(&lines);
    }

    /// What happens.
    pub fn note(&mut self, text: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.above(&scrub(text));
        }
    }

    /// What went wrong, as it was drawn.
    pub fn fault(&mut self, text: &str) {
        self.above(&scrub(text));
    }

    /// What the reader must not miss.
    pub fn warn(&mut self, text: &str) {
        let mark = if self.color { "\u{1b}[33mwarning:\u{1b}[0m" } else { "warning:" };
        self.above(&scrub(&format!("{mark} {text}")));
    }

    /// What is going on now, instead of what was.
    pub fn draw(&mut self, lines: &[String]) {
        if self.aside.is_some() {
            return;
        }
        let size = self.size();
        let lines = lines.iter().map(|line| scrub(line)).collect();
        if let Some(text) = self.region.as_mut().map(|region| region.replace("", lines, size)) {
            self.send(&text);
        }
    }

    /// How wide the lines in place may be; `None` where there are none.
    pub fn width(&self) -> Option<usize> {
        self.region.as_ref().map(|_| self.size().1.saturating_sub(1))
    }

    /// So often what goes on is shown, seconds.
    pub fn frame_s(&self) -> f64 {
        match (&self.region, self.verbosity) {
            (_, Verbosity::Quiet) => NEVER_S,
            (Some(_), _) => FRAME_S,
            (None, _) => PLAIN_S,
        }
    }

    /// Whether only results and failures are shown.
    pub fn is_quiet(&self) -> bool {
        self.verbosity == Verbosity::Quiet
    }

    /// Whether every request is shown.
    pub fn is_verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// Whether there are colors.
    pub fn has_color(&self) -> bool {
        self.color
    }

    /// What is done next, on a terminal in place of the last.
    pub fn step(&mut self, text: &str) {
        if self.region.is_some() { self.draw(&[text.to_owned()]) } else { self.note(text) }
    }

    /// Takes what goes on off the terminal until there is some again.
    pub fn clear(&mut self) {
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

    /// Prints above the lines in place, which stay.
    fn above(&mut self, text: &str) {
        if let Some(aside) = &self.aside {
            let _ = aside.try_send(text.to_owned()); // a prompt that shows nothing more is at its end
            return;
        }
        let size = self.size();
        let text = match &mut self.region {
            Some(region) => region.replace(text, region.lines().to_vec(), size),
            None => format!("{text}\n"),
        };
        self.send(&text);
    }

    /// In one piece: a terminal shows no half of it.
    fn send(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut terminal = &self.terminal;
        let _ = terminal.write_all(text.as_bytes());
    }

    fn size(&self) -> (usize, usize) {
        let (rows, columns) = self.terminal.size();
        (rows.into(), columns.into())
    }
}

/// How wide a result may be; `None` where it is not for a terminal.
pub fn result_width() -> Option<u16> {
    std::io::stdout().is_terminal().then(|| Term::stdout().size().1)
}

/// Whether errors and verdicts are colored.
pub fn color() -> bool {
    let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && std::io::stdout().is_terminal() && !asked_not_to
}
