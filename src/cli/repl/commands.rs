//! The commands of the prompt: what begins with a colon.

use super::{Next, Repl, engines, print, say};
use crate::cli::exit;
use crate::core::Code;
use crate::report::{color, values};
use crate::script::catalog::Item;
use crate::script::nearest;
use std::path::Path;
use std::time::Instant;

/// How commands are written, and what each does.
pub const COMMANDS: [(&str, &str); 11] = [
    (
        ":help [NAME]",
        "this, or what is known of a function, a module or a type",
    ),
    (":type EXPR", "the type of what an expression gives"),
    (
        ":engines",
        "what runs: where, how it is, its memory, its logs",
    ),
    (
        ":log NAME [-f]",
        "the end of an engine's logs; with -f what it writes, until Ctrl-C",
    ),
    (
        ":load FILE",
        "run a script: its functions, constants and imports are there afterwards",
    ),
    (":reload", "the last one again"),
    (
        ":save FILE",
        "what was typed and did not fail, as a script with a test",
    ),
    (":time EXPR", "evaluate, and say how long it took"),
    (
        ":plot EXPR [FILE.svg]",
        "draw an experiment, a measure, an engine's TTFT over time, numbers, or a figure of `plot`",
    ),
    (
        ":functions",
        "what the library and the natives have, one a line",
    ),
    (":quit", "end; so does Ctrl-D"),
];

const KEYS: &str = "\
Everything else is Rhai. The library's modules are there under their names, without an import: load,
check, sim, vllm, engine and so on. Tab completes, Ctrl-R searches the history, Alt-Enter begins a
line. `last` is the value of the last input that gave one.
An engine that `start` gave runs until it is closed or this ends. Ctrl-C ends what runs, and no
engine; an experiment's result is then what it had measured.";

impl Repl {
    /// Does what a command says.
    pub(super) fn command(&mut self, command: &str) -> Result<Next, u8> {
        let (name, rest) = command
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((command.trim(), ""));
        let rest = rest.trim();
        match name {
            "help" | "h" | "?" if rest.is_empty() => print(&help()),
            "help" | "h" | "?" => return self.help_on(rest),
            "functions" => print(&self.functions()),
            "type" => {
                let kind = self
                    .working(|repl| repl.session.type_of(rest))
                    .map_err(|e| self.complain(&e))?;
                print(&kind);
            }
            "engines" => print(&engines::table(&self.stage.host)),
            "log" => return self.log(rest),
            "load" if !rest.is_empty() => {
                self.load(Path::new(rest)).map_err(|e| self.complain(&e))?;
            }
            "reload" => match self.loaded.clone() {
                Some(path) => self.load(&path).map_err(|e| self.complain(&e))?,
                None => return refuse("nothing was loaded; `:load FILE` does that"),
            },
            "save" if !rest.is_empty() => return self.save(Path::new(rest)),
            "time" => {
                let began = Instant::now();
                let done = self.evaluate(rest);
                print(&format!("took {:.3} s", began.elapsed().as_secs_f64()));
                done?;
            }
            "plot" => return self.plot(rest),
            "quit" | "q" | "exit" => return Ok(Next::Ends),
            other => return refuse(&unknown(other)),
        }
        Ok(Next::Goes)
    }

    fn functions(&self) -> String {
        let items = self.names.catalog.items.iter();
        values::pairs(items.map(|item| (item.title(), item.summary().to_owned())))
    }

    fn help_on(&self, name: &str) -> Result<Next, u8> {
        let found = self.names.catalog.find(name);
        if let [item] = found[..] {
            print(&explained(item));
        } else if found.is_empty() {
            let near = self.names.catalog.nearest(name);
            let hint = near.map_or_else(
                || "`:functions` lists all".into(),
                |near| format!("did you mean `{near}`?"),
            );
            return refuse(&format!("there is no `{name}`; {hint}"));
        } else {
            print(&values::pairs(
                found
                    .iter()
                    .map(|item| (item.title(), item.summary().to_owned())),
            ));
        }
        Ok(Next::Goes)
    }

    fn log(&mut self, rest: &str) -> Result<Next, u8> {
        let (name, follows) = match rest.strip_suffix("-f") {
            Some(name) => (name.trim(), true),
            None => (rest, false),
        };
        let Some(logs) = engines::logs(&self.stage.host, name) else {
            return refuse(&format!(
                "no engine `{name}` runs; `:engines` lists those that do"
            ));
        };
        print(&engines::tail(&logs));
        if follows {
            self.working(|repl| {
                repl.signals.wait_for_interrupt();
                let host = &repl.stage.host;
                host.wait(engines::follow(&logs, host.runner().interrupts.now()));
            });
        }
        Ok(Next::Goes)
    }

    fn save(&self, path: &Path) -> Result<Next, u8> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name: String = stem
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let test = if name.starts_with("test_") {
            name
        } else {
            format!("test_{name}")
        };
        match std::fs::write(path, self.session.script(&test)) {
            Ok(()) => print(&format!("saved: lmrun {}", path.display())),
            Err(e) => return refuse(&format!("cannot write {}: {e}", path.display())),
        }
        Ok(Next::Goes)
    }
}

fn help() -> String {
    let commands = COMMANDS
        .iter()
        .map(|(usage, about)| ((*usage).to_owned(), (*about).to_owned()));
    format!("{}\n\n{KEYS}", values::pairs(commands))
}

fn explained(item: &Item) -> String {
    let calls: Vec<String> = item
        .signatures
        .iter()
        .map(|signature| item.declaration(signature))
        .collect();
    let doc = &item.main().doc;
    let options = item.options.iter().map(|option| {
        let default = option
            .default
            .as_deref()
            .map(|default| format!(" ({default})"))
            .unwrap_or_default();
        (option.name.clone(), format!("{}{default}", option.doc))
    });
    let example = doc
        .example
        .as_deref()
        .map(|example| example.trim_end().replace('\n', "\n  "));
    let example = example
        .map(|example| format!("  {example}"))
        .unwrap_or_default();
    let parts = [
        calls.join("\n"),
        doc.text.trim().to_owned(),
        values::pairs(options),
        example,
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn unknown(name: &str) -> String {
    let names = COMMANDS
        .iter()
        .filter_map(|(usage, _)| usage[1..].split(' ').next());
    match (
        names.clone().find(|known| *known == name),
        nearest(name, names),
    ) {
        (Some(_), _) => format!("`:{name}` says too little; `:help` has how it is written"),
        (None, Some(near)) => format!("there is no command `:{name}`; did you mean `:{near}`?"),
        (None, None) => format!("there is no command `:{name}`; `:help` lists them"),
    }
}

/// Says what is wrong with a command.
pub(super) fn refuse(problem: &str) -> Result<Next, u8> {
    let mark = if color() {
        "\u{1b}[31merror:\u{1b}[0m"
    } else {
        "error:"
    };
    say(&format!("{mark} {problem}"));
    Err(if problem.starts_with("cannot") {
        Code::Check.exit()
    } else {
        exit::USAGE
    })
}
