//! The commands of the prompt, which begin with a colon.

use super::engines;
use super::prompt::{Next, Repl, say, show};
use crate::cli::exit;
use crate::core::Code;
use crate::report::{color, values};
use crate::script::catalog::Item;
use crate::script::nearest;
use std::path::Path;
use std::time::Instant;

/// The usage and description of each command.
pub(super) const COMMANDS: [(&str, &str); 11] = [
    (
        ":help [NAME]",
        "show this help, or that of a function, module or type",
    ),
    (":type EXPR", "show the type of an expression"),
    (
        ":engines",
        "list running engines with address, state, memory and logs",
    ),
    (
        ":log NAME [-f]",
        "show the end of an engine's logs; with -f, follow them until Ctrl-C",
    ),
    (
        ":load FILE",
        "evaluate a script and keep its functions, constants and imports",
    ),
    (":reload", "load the last script again"),
    (
        ":save FILE",
        "save the inputs that did not fail as a script with a test",
    ),
    (
        ":time EXPR",
        "evaluate an expression and show how long it took",
    ),
    (
        ":plot EXPR [FILE.svg]",
        "plot an experiment, a measure, the TTFTs of an engine, numbers, or a figure of `plot`",
    ),
    (
        ":functions",
        "list the functions of the library, one per line",
    ),
    (":quit", "quit, as does Ctrl-D"),
];

const NOTES: &str = "\
Everything else is Rhai. The modules of the library are imported under their names: load, check,
sim, vllm, engine and so on. `last` is the last value. Tab completes, Ctrl-R searches the history,
Alt-Enter inserts a line break.
An engine from `start` runs until it is closed or the session ends. Ctrl-C interrupts an input but
stops no engine; an interrupted experiment returns what it has measured.";

impl Repl {
    /// Runs a command.
    pub(super) fn command(&mut self, command: &str) -> Result<Next, u8> {
        let command = command.trim();
        let (name, argument) = command
            .split_once(char::is_whitespace)
            .unwrap_or((command, ""));
        let argument = argument.trim();
        match name {
            "help" | "h" | "?" if argument.is_empty() => show(&help()),
            "help" | "h" | "?" => return self.help_on(argument),
            "functions" => show(&self.functions()),
            "type" => {
                let kind = self
                    .interruptible(|repl| repl.session.type_of(argument))
                    .map_err(|e| self.show_error(&e))?;
                show(&kind);
            }
            "engines" => show(&engines::table(&self.stage.host)),
            "log" => return self.log(argument),
            "load" if !argument.is_empty() => self
                .load(Path::new(argument))
                .map_err(|e| self.show_error(&e))?,
            "reload" => match self.loaded.clone() {
                Some(path) => self.load(&path).map_err(|e| self.show_error(&e))?,
                None => return reject("no script was loaded; use `:load FILE`"),
            },
            "save" if !argument.is_empty() => return self.save(Path::new(argument)),
            "time" => {
                let start = Instant::now();
                let result = self.evaluate(argument);
                show(&format!("took {:.3} s", start.elapsed().as_secs_f64()));
                result?;
            }
            "plot" => return self.plot(argument),
            "quit" | "q" | "exit" => return Ok(Next::Quit),
            other => return reject(&unknown_command(other)),
        }
        Ok(Next::Continue)
    }

    fn functions(&self) -> String {
        let items = self.names.catalog.items.iter();
        values::pairs(items.map(|item| (item.title(), item.summary().to_owned())))
    }

    fn help_on(&self, name: &str) -> Result<Next, u8> {
        let found = self.names.catalog.find(name);
        match found.as_slice() {
            [] => {
                let hint = match self.names.catalog.nearest(name) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`:functions` lists all names".into(),
                };
                return reject(&format!("unknown name `{name}`; {hint}"));
            }
            [item] => show(&documentation(item)),
            items => {
                let items = items.iter();
                let lines = items.map(|item| (item.title(), item.summary().to_owned()));
                show(&values::pairs(lines));
            }
        }
        Ok(Next::Continue)
    }

    fn log(&mut self, argument: &str) -> Result<Next, u8> {
        let without_flag = argument.strip_suffix("-f").map(str::trim);
        let name = without_flag.unwrap_or(argument);
        let Some(logs) = engines::logs(&self.stage.host, name) else {
            return reject(&format!(
                "no engine `{name}` is running; `:engines` lists the running ones"
            ));
        };
        show(&engines::tail(&logs));
        if without_flag.is_some() {
            self.interruptible(|repl| {
                repl.signals.expect_interrupt();
                let host = &repl.stage.host;
                host.wait(engines::follow(
                    &logs,
                    host.runner().client.interrupts.current(),
                ));
            });
        }
        Ok(Next::Continue)
    }

    fn save(&self, path: &Path) -> Result<Next, u8> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut test = stem.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        if !test.starts_with("test_") {
            test = format!("test_{test}");
        }
        match std::fs::write(path, self.session.script(&test)) {
            Ok(()) => show(&format!("saved: lmrun {}", path.display())),
            Err(e) => return reject(&format!("cannot write {}: {e}", path.display())),
        }
        Ok(Next::Continue)
    }
}

fn help() -> String {
    let commands = COMMANDS
        .iter()
        .map(|(usage, about)| ((*usage).to_owned(), (*about).to_owned()));
    format!("{}\n\n{NOTES}", values::pairs(commands))
}

/// Returns the signatures of an item, its documentation, options and example.
fn documentation(item: &Item) -> String {
    let signatures = item.signatures.iter();
    let signatures: Vec<String> = signatures
        .map(|signature| item.declaration(signature))
        .collect();
    let doc = &item.main().doc;
    let mut options = Vec::new();
    for option in &item.options {
        options.push((option.name.clone(), option.doc_with_default()));
    }
    let example = match &doc.example {
        Some(example) => format!("  {}", example.trim_end().replace('\n', "\n  ")),
        None => String::new(),
    };
    let mut parts = vec![
        signatures.join("\n"),
        doc.text.trim().to_owned(),
        values::pairs(options.into_iter()),
        example,
    ];
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn unknown_command(name: &str) -> String {
    let names: Vec<&str> = COMMANDS
        .iter()
        .filter_map(|(usage, _)| usage[1..].split(' ').next())
        .collect();
    if names.contains(&name) {
        return format!("`:{name}` needs an argument; `:help` shows its usage");
    }
    match nearest(name, names) {
        Some(near) => format!("unknown command `:{name}`; did you mean `:{near}`?"),
        None => format!("unknown command `:{name}`; `:help` lists all commands"),
    }
}

/// Shows the error of a command and returns its exit code.
pub(super) fn reject(problem: &str) -> Result<Next, u8> {
    let label = if color() {
        "\u{1b}[31merror:\u{1b}[0m"
    } else {
        "error:"
    };
    say(&format!("{label} {problem}"));
    Err(if problem.starts_with("cannot") {
        Code::Check.exit()
    } else {
        exit::USAGE
    })
}
