//! The terminal: results on standard output, everything else on standard error.

use crate::driver::secrets::scrub;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Without a terminal, progress is a line every so often.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// How often the spinner moves: it shows that lmrun is alive while an engine is silent.
const TICK: Duration = Duration::from_millis(200);

/// What people see of a run.
pub struct Screen {
    bar: ProgressBar,
    plain_progress: bool,
    last_plain: Instant,
    color: bool,
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

impl Screen {
    /// The screen as this process has it.
    pub fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(
            ProgressStyle::with_template("{spinner} {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        Self { bar, plain_progress: !terminal, last_plain: Instant::now(), color: color() }
    }

    /// A result.
    pub fn result(&self, text: &str) {
        let text = scrub(text);
        // A reader that went away is not our failure.
        self.bar.suspend(|| drop(writeln!(std::io::stdout(), "{text}")));
    }

    /// What happens.
    pub fn note(&self, text: &str) {
        let text = scrub(text);
        self.bar.suspend(|| drop(writeln!(std::io::stderr(), "{text}")));
    }

    /// What the reader must not miss.
    pub fn warn(&self, text: &str) {
        let mark = if self.color { "\u{1b}[33mwarning:\u{1b}[0m" } else { "warning:" };
        self.note(&format!("{mark} {text}"));
    }

    /// What is going on now; overwritten by the next.
    pub fn progress(&mut self, text: &str) {
        if !self.plain_progress {
            if self.bar.is_finished() {
                self.bar.reset();
            }
            self.bar.set_message(scrub(text));
            self.bar.enable_steady_tick(TICK);
        } else if self.last_plain.elapsed() >= PLAIN_EVERY {
            self.last_plain = Instant::now();
            self.note(text);
        }
    }

    /// What is done next, on a terminal in place of the last.
    pub fn step(&mut self, text: &str) {
        if self.plain_progress { self.note(text) } else { self.progress(text) }
    }

    /// Nothing is going on any more.
    pub fn progress_done(&mut self) {
        self.last_plain = Instant::now();
        self.bar.disable_steady_tick();
        self.bar.set_message("");
        self.bar.tick();
    }

    /// Takes the progress off the terminal until there is some again.
    pub fn clear(&mut self) {
        self.last_plain = Instant::now();
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
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

/// Whether errors and verdicts are colored.
pub fn color() -> bool {
    let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && std::io::stdout().is_terminal() && !asked_not_to
}
