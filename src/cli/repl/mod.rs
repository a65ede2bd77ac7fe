//! `lmrun repl` and `lmrun -e`: inputs one after the other, at a prompt or from elsewhere.

mod commands;
mod complete;
mod editor;
mod engines;
mod highlight;
mod menu;
mod plot;
mod show;
mod signals;

use super::args::RunArgs;
use super::stage::Stage;
use super::{complain, exit};
use crate::core::{Code, Event};
use crate::driver::secrets::scrub;
use crate::report::color;
use crate::script::{Diagnosis, Reading, Session, Shown, reading};
use complete::Names;
use editor::{Editor, Typed};
use signals::Signals;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, channel};

/// A session, and what is around it.
struct Repl {
    stage: Stage,
    session: Session,
    signals: Arc<Signals>,
    names: Arc<Names>,
    loaded: Option<PathBuf>,
    told_where: bool,
    /// The way to the terminal while the editor reads from it.
    aside: Option<SyncSender<String>>,
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Goes,
    Ends,
}

/// Evaluates what `-e` says, or what stands on standard input; talks to whoever sits at a terminal.
pub fn run(args: &RunArgs) -> u8 {
    let script = args.script.as_deref();
    let folder = script
        .and_then(Path::parent)
        .filter(|folder| !folder.as_os_str().is_empty());
    let stage = match Stage::set(args, "", folder.unwrap_or(Path::new("."))) {
        Ok(stage) => stage,
        Err(problem) => return complain(&problem),
    };
    let mut repl = match Repl::new(stage, folder.unwrap_or(Path::new("."))) {
        Ok(repl) => repl,
        Err(diagnosis) => {
            say(&diagnosis.message);
            return exit::BUG;
        }
    };
    let code = repl.work(args.eval.as_deref(), script);
    repl.end(code)
}

impl Repl {
    fn new(stage: Stage, folder: &Path) -> Result<Self, Diagnosis> {
        let session = Session::new(&stage.host, folder)?;
        stage.host.runner().emit(Event::SessionStarted {
            name: stage.name.clone(),
        });
        let signals = Signals::heed(&stage);
        let names = Arc::new(Names::new(folder));
        Ok(Self {
            stage,
            session,
            signals,
            names,
            loaded: None,
            told_where: false,
            aside: None,
        })
    }

    fn work(&mut self, expression: Option<&str>, script: Option<&Path>) -> u8 {
        if let Some(script) = script
            && let Err(diagnosis) = self.load(script)
        {
            return self.complain(&diagnosis);
        }
        match expression {
            Some("-") => self.read_all(),
            Some(expression) => self.inputs([expression.to_owned()]),
            None if std::io::stdin().is_terminal() => self.talk(),
            None => self.read_all(),
        }
    }

    /// Evaluates what stands on standard input, up to the first failure.
    fn read_all(&mut self) -> u8 {
        let mut text = String::new();
        match std::io::stdin().read_to_string(&mut text) {
            Ok(_) => self.inputs(split(&text)),
            Err(e) => complain(&format!("cannot read standard input: {e}")),
        }
    }

    fn inputs(&mut self, inputs: impl IntoIterator<Item = String>) -> u8 {
        self.signals.one_ends_all();
        for input in inputs {
            match self.take(&input) {
                Ok(Next::Goes) if !self.stage.cancel.is_cancelled() => {}
                Ok(_) => break,
                Err(code) => return code,
            }
        }
        self.verdict()
    }

    /// What the checks say.
    fn verdict(&self) -> u8 {
        if self.stage.cancel.is_cancelled() {
            return Code::Interrupted.exit();
        }
        let outcome = self.stage.host.test().outcome();
        outcome.code().map_or(exit::OK, Code::exit)
    }

    /// Reads and answers until the end of input, `:quit`, or a signal.
    fn talk(&mut self) -> u8 {
        let mut editor = Editor::new(self.names.clone(), self.signals.ends());
        self.aside = Some(editor.aside());
        self.lend_terminal();
        say(concat!(
            "lmrun ",
            env!("CARGO_PKG_VERSION"),
            ", `:help` for help, Ctrl-D to end"
        ));
        while !self.stage.cancel.is_cancelled() {
            self.names.update(self.session.variables());
            match editor.read() {
                Typed::Input(input) => {
                    if let Ok(Next::Ends) = self.take(&input) {
                        break;
                    }
                }
                Typed::Nothing => {}
                Typed::End => break,
            }
        }
        if self.stage.cancel.is_cancelled() {
            Code::Interrupted.exit()
        } else {
            exit::OK
        }
    }

    /// Does what one input says; an error is shown, and is its exit code.
    fn take(&mut self, input: &str) -> Result<Next, u8> {
        let input = input.trim_end();
        if input.trim().is_empty() {
            return Ok(Next::Goes);
        }
        match input.trim_start().strip_prefix(':') {
            Some(command) => self.command(command),
            // What other prompts call it.
            None if ["help", "exit", "exit()", "quit", "quit()"].contains(&input.trim()) => {
                self.command(input.trim().trim_end_matches("()"))
            }
            None => self.evaluate(input).map(|()| Next::Goes),
        }
    }

    fn evaluate(&mut self, input: &str) -> Result<(), u8> {
        let before = self.experiments();
        let shown = self
            .working(|repl| repl.session.eval(input))
            .map_err(|e| self.complain(&e))?;
        // The table of an experiment stands there already.
        if !matches!(shown, Shown::Experiment(_)) || self.experiments() == before {
            self.show(&shown);
        }
        Ok(())
    }

    /// Does work that Ctrl-C can end, and waits until what it reports is shown.
    fn working<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.stage.host.runner().emit(Event::Resumed);
        self.signals.begin();
        let done = work(self);
        self.signals.end();
        self.lend_terminal();
        if self.experiments() > 0 && !std::mem::replace(&mut self.told_where, true) {
            say(&format!(
                "  rows in {}",
                self.stage.outputs.csv(&self.stage.name).display()
            ));
        }
        done
    }

    /// Waits until everything that was reported is shown; the terminal is then the editor's, if there is one.
    fn lend_terminal(&self) {
        let (shown, is_shown) = channel();
        self.stage.host.runner().emit(Event::Awaited {
            shown,
            aside: self.aside.clone(),
        });
        let _ = is_shown.recv(); // a reporter that is gone shows nothing
    }

    fn experiments(&self) -> usize {
        self.stage.host.test().experiments()
    }

    fn load(&mut self, path: &Path) -> Result<(), Diagnosis> {
        self.loaded = Some(path.into());
        self.working(|repl| repl.session.load(path))
    }

    fn show(&mut self, shown: &Shown) {
        let text = show::text(shown, &self.stage.host);
        if !text.is_empty() {
            print(&text);
        }
    }

    /// Shows an error; returns its exit code.
    fn complain(&self, diagnosis: &Diagnosis) -> u8 {
        match diagnosis.code {
            Code::Interrupted => say("interrupted"),
            _ => say(&self.session.draw(diagnosis, color())),
        }
        if diagnosis.unusable {
            exit::USAGE
        } else {
            diagnosis.code.exit()
        }
    }

    /// Closes what runs, removes what was for it, and ends.
    fn end(self, code: u8) -> u8 {
        let host = &self.stage.host;
        host.runner().emit(Event::Resumed);
        self.signals.ending();
        self.signals.begin();
        let closed = host.wait(host.runner().fleet.close_all());
        if let Err(e) = self.session.clear_scratch() {
            host.runner().emit(Event::Warned {
                text: format!("the scratch folders could not be removed: {e}"),
            });
        }
        if let Err(e) = &closed {
            host.runner().emit(Event::Warned {
                text: e.to_string(),
            });
        }
        let reported = self.stage.end();
        let closed = if closed.is_ok() {
            exit::OK
        } else {
            Code::Engine.exit()
        };
        [reported, code, closed]
            .into_iter()
            .find(|code| *code != exit::OK)
            .unwrap_or(exit::OK)
    }
}

/// A text as inputs: lines, as many together as make a whole.
fn split(text: &str) -> Vec<String> {
    let (mut inputs, mut open) = (Vec::<String>::new(), String::new());
    for line in text.lines() {
        if open.is_empty()
            && goes_on(line)
            && let Some(last) = inputs.pop()
        {
            open = last;
        }
        open = if open.is_empty() {
            line.to_owned()
        } else {
            format!("{open}\n{line}")
        };
        if open.starts_with(':') || reading(&open) == Reading::Whole {
            inputs.push(std::mem::take(&mut open));
        }
    }
    inputs.extend((!open.is_empty()).then_some(open));
    inputs
}

/// Whether a line belongs to what stands before it.
fn goes_on(line: &str) -> bool {
    ["else", "catch", "."]
        .iter()
        .any(|start| line.trim_start().starts_with(start))
}

/// Says something that is no value. A terminal that was closed does not hear it.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", scrub(text));
}

/// Prints a value.
fn print(text: &str) {
    // A reader that went away has read enough.
    let _ = writeln!(std::io::stdout(), "{}", scrub(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_into_inputs() {
        let text =
            "let x = 1\nif x > 0 {\n  1\n}\nelse { 2 }\n:engines\nx\n  .to_string()\nfn f() {";
        let inputs = [
            "let x = 1",
            "if x > 0 {\n  1\n}\nelse { 2 }",
            ":engines",
            "x\n  .to_string()",
            "fn f() {",
        ];
        assert_eq!(split(text), inputs);
    }
}
