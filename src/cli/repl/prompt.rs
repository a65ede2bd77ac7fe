//! The prompt: reads inputs and commands, evaluates them and shows their values.

use super::complete::KnownNames;
use super::editor::{Editor, Typed};
use super::input::split_inputs;
use super::render;
use super::signals::PromptSignals;
use crate::cli::args::RunArgs;
use crate::cli::stage::Stage;
use crate::cli::{complain, exit, print};
use crate::core::{Code, Event};
use crate::driver::secrets::scrub;
use crate::report::color;
use crate::script::{Diagnostic, PromptValue, Session};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, channel};

/// Inputs that other prompts take for commands.
const WORDS_OF_OTHER_PROMPTS: [&str; 5] = ["help", "exit", "exit()", "quit", "quit()"];

/// A session with its signals, its output and the names that it knows.
pub(super) struct Repl {
    pub(super) stage: Stage,
    pub(super) session: Session,
    pub(super) signals: Arc<PromptSignals>,
    pub(super) names: Arc<KnownNames>,
    pub(super) loaded: Option<PathBuf>,
    has_shown_path: bool,
    /// Prints above the prompt while the editor reads.
    above_prompt: Option<SyncSender<String>>,
}

/// The next step after an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Continue,
    Quit,
}

/// Evaluates the expression of `-e`, the inputs on standard input, or those typed at a terminal.
/// Returns the exit code.
pub(crate) fn run(args: &RunArgs) -> u8 {
    let script = args.script.as_deref();
    let folder = script
        .and_then(Path::parent)
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let stage = match Stage::set(args, "", folder) {
        Ok(stage) => stage,
        Err(problem) => return complain(&problem),
    };
    let mut repl = match Repl::new(stage, folder) {
        Ok(repl) => repl,
        Err(diagnostic) => {
            say(&diagnostic.message);
            return exit::BUG;
        }
    };
    let code = repl.evaluate_all(args.eval.as_deref(), script);
    repl.close(code)
}

impl Repl {
    fn new(stage: Stage, folder: &Path) -> Result<Self, Diagnostic> {
        let session = Session::new(&stage.host, folder)?;
        stage.host.runner().emit(Event::SessionStarted {
            name: stage.name.clone(),
        });
        Ok(Self {
            signals: PromptSignals::listen(&stage),
            names: Arc::new(KnownNames::new(folder)),
            stage,
            session,
            loaded: None,
            has_shown_path: false,
            above_prompt: None,
        })
    }

    fn evaluate_all(&mut self, expression: Option<&str>, script: Option<&Path>) -> u8 {
        if let Some(script) = script
            && let Err(diagnostic) = self.load(script)
        {
            return self.show_error(&diagnostic);
        }
        match expression {
            Some("-") => self.evaluate_stdin(),
            Some(expression) => self.evaluate_inputs([expression.to_owned()]),
            None if std::io::stdin().is_terminal() => self.read_terminal(),
            None => self.evaluate_stdin(),
        }
    }

    fn evaluate_stdin(&mut self) -> u8 {
        let mut text = String::new();
        match std::io::stdin().read_to_string(&mut text) {
            Ok(_) => self.evaluate_inputs(split_inputs(&text)),
            Err(e) => complain(&format!("cannot read standard input: {e}")),
        }
    }

    /// Evaluates inputs up to the first failure.
    fn evaluate_inputs(&mut self, inputs: impl IntoIterator<Item = String>) -> u8 {
        self.signals.end_session_on_interrupt();
        for input in inputs {
            match self.handle(&input) {
                Ok(Next::Continue) if !self.stage.cancel.is_cancelled() => {}
                Ok(_) => break,
                Err(code) => return code,
            }
        }
        self.exit_code()
    }

    /// Returns the exit code of the session: interrupted, invalid, a failed check, or success.
    fn exit_code(&self) -> u8 {
        if self.stage.cancel.is_cancelled() {
            return Code::Interrupted.exit();
        }
        let outcome = self.stage.host.test().outcome();
        outcome.code().map_or(exit::OK, Code::exit)
    }

    /// Reads and evaluates inputs until their end, `:quit`, or a signal.
    fn read_terminal(&mut self) -> u8 {
        let mut editor = Editor::new(self.names.clone(), self.signals.editor_break());
        self.above_prompt = Some(editor.above_prompt());
        self.lend_terminal();
        say(concat!(
            "lmrun ",
            env!("CARGO_PKG_VERSION"),
            ", `:help` for help, Ctrl-D to quit"
        ));
        while !self.stage.cancel.is_cancelled() {
            self.names.update(self.session.variables());
            match editor.read() {
                Typed::Input(input) => {
                    if let Ok(Next::Quit) = self.handle(&input) {
                        break;
                    }
                }
                Typed::Discarded => {}
                Typed::End => break,
            }
        }
        if self.stage.cancel.is_cancelled() {
            Code::Interrupted.exit()
        } else {
            exit::OK
        }
    }

    /// Evaluates an input or a command. Shows an error and returns its exit code.
    fn handle(&mut self, input: &str) -> Result<Next, u8> {
        let input = input.trim_end();
        let word = input.trim();
        if word.is_empty() {
            return Ok(Next::Continue);
        }
        match word.strip_prefix(':') {
            Some(command) => self.command(command),
            None if WORDS_OF_OTHER_PROMPTS.contains(&word) => {
                self.command(word.trim_end_matches("()"))
            }
            None => self.evaluate(input).map(|()| Next::Continue),
        }
    }

    pub(super) fn evaluate(&mut self, input: &str) -> Result<(), u8> {
        let before = self.experiments();
        let value = self
            .interruptible(|repl| repl.session.eval(input))
            .map_err(|diagnostic| self.show_error(&diagnostic))?;
        // The run has already shown the table of a new experiment.
        let is_shown = matches!(value, PromptValue::Experiment(_)) && self.experiments() > before;
        let text = render::value(&value, &self.stage.host);
        if !is_shown && !text.is_empty() {
            show(&text);
        }
        Ok(())
    }

    /// Does work that Ctrl-C ends, and waits until its reports are shown.
    pub(super) fn interruptible<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.stage.host.runner().emit(Event::Resumed);
        self.signals.start_work();
        let result = work(self);
        self.signals.finish_work();
        self.lend_terminal();
        if self.experiments() > 0 && !self.has_shown_path {
            self.has_shown_path = true;
            let csv = self.stage.outputs.csv(&self.stage.name);
            say(&format!("  rows in {}", csv.display()));
        }
        result
    }

    /// Waits until all reports are shown. The terminal then belongs to the editor, if there is one.
    fn lend_terminal(&self) {
        let (shown, is_shown) = channel();
        self.stage.host.runner().emit(Event::Awaited {
            shown,
            aside: self.above_prompt.clone(),
        });
        // An error means that the reporter has ended.
        let _ = is_shown.recv();
    }

    fn experiments(&self) -> usize {
        self.stage.host.test().experiments()
    }

    pub(super) fn load(&mut self, path: &Path) -> Result<(), Diagnostic> {
        self.loaded = Some(path.into());
        self.interruptible(|repl| repl.session.load(path))
    }

    /// Shows an error and returns its exit code.
    pub(super) fn show_error(&self, diagnostic: &Diagnostic) -> u8 {
        match diagnostic.code {
            Code::Interrupted => say("interrupted"),
            _ => say(&self.session.draw(diagnostic, color())),
        }
        if diagnostic.is_unusable {
            exit::USAGE
        } else {
            diagnostic.code.exit()
        }
    }

    /// Closes engines, removes scratch folders and returns the exit code, `code` if nothing fails.
    fn close(self, code: u8) -> u8 {
        let host = &self.stage.host;
        host.runner().emit(Event::Resumed);
        self.signals.start_closing();
        let closed = host.wait(host.runner().fleet.close_all());
        if let Err(e) = self.session.clear_scratch() {
            let text = format!("cannot remove the scratch folders: {e}");
            host.runner().emit(Event::Warned { text });
        }
        let mut closing_code = exit::OK;
        if let Err(e) = closed {
            let text = e.to_string();
            host.runner().emit(Event::Warned { text });
            closing_code = Code::Engine.exit();
        }
        let reported_code = self.stage.end();
        [reported_code, code, closing_code]
            .into_iter()
            .find(|code| *code != exit::OK)
            .unwrap_or(exit::OK)
    }
}

/// Writes a message to standard error, without secrets.
pub(super) fn say(text: &str) {
    print::to_stderr(&scrub(text));
}

/// Writes a value to standard output, without secrets.
pub(super) fn show(text: &str) {
    print::line(&scrub(text));
}
