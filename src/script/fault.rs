//! Errors of scripts: what is wrong, where, through imports, and what to do.

use super::excerpt::excerpt;
use crate::core::{Code, EngineError, RunError};
use crate::driver::text::{printable_message, printable_script};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report,
    Severity,
};
use rhai::{Dynamic, EvalAltResult, Position};

/// An error of a native, as a value that Rhai carries to the place of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// What kind of failure it is.
    pub code: Code,
    /// A word on the line of the call that is the culprit.
    pub word: Option<String>,
}

impl Fault {
    /// A failure of the script.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            code: Code::Check,
            word: None,
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// Names a word to point at, where the line of the call has it.
    #[must_use]
    pub fn at_word(self, word: &str) -> Self {
        Self {
            word: Some(word.into()),
            ..self
        }
    }

    fn with_code(self, code: Code) -> Self {
        Self { code, ..self }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        Self::new(error.to_string())
            .help(error.remedy())
            .with_code(Code::Engine)
    }
}

/// Raises a fault at the place of the call.
impl From<Fault> for Box<EvalAltResult> {
    fn from(fault: Fault) -> Self {
        EvalAltResult::ErrorRuntime(Dynamic::from(fault), Position::NONE).into()
    }
}

/// Raises the failure of an experiment. An interrupt cannot be caught by a script.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "Rhai's errors travel in boxes"
)]
pub fn raise(error: RunError) -> Box<EvalAltResult> {
    match error {
        RunError::Engine(error) => Fault::from(error).into(),
        RunError::TooMany(problem) => Fault::new(problem)
            .help(
                "raise the limit (`ulimit -Hn`, `LimitNOFILE=`), or send fewer with `concurrency`",
            )
            .with_code(Code::Invalid)
            .into(),
        RunError::Interrupted => interrupted(),
    }
}

/// Ends the script wherever it is.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "Rhai's errors travel in boxes"
)]
pub fn interrupted() -> Box<EvalAltResult> {
    EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into()
}

/// A place in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The script's name: a path, or `std/…`.
    pub file: String,
    /// Where in it.
    pub position: Position,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.position.line(), self.position.position()) {
            (Some(line), Some(column)) => write!(f, "{}:{line}:{column}", self.file),
            _ => f.write_str(&self.file),
        }
    }
}

/// An error of a script, ready to be drawn.
#[derive(Debug)]
pub struct Diagnosis {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// What kind of failure it is.
    pub code: Code,
    /// Whether it does not even compile.
    pub unusable: bool,
    /// The user's own line.
    pub place: Option<Place>,
    /// The library's function that the user's line calls, such as `load::dummy`, where it is below it.
    pub called: Option<String>,
    /// A word on that line to point at.
    word: Option<String>,
    /// The calls that lead to it.
    above: Vec<Place>,
    /// The calls below it, down to where it happened.
    below: Vec<Place>,
}

impl Diagnosis {
    /// What `error`, raised while `script` ran, says.
    pub fn of(error: &EvalAltResult, script: &str) -> Self {
        let (root, mut places) = trace(error, script);
        let Fault {
            mut message,
            help,
            code,
            word,
        } = fault_of(root);
        // The user's line is the deepest that is not the library's.
        let own = places
            .iter()
            .rposition(|(place, _)| !is_library(&place.file));
        let below: Vec<_> = places.split_off(own.map_or(0, |own| own + 1));
        let user = places.pop();
        let called = user
            .as_ref()
            .and_then(|(_, called)| called.clone())
            .filter(|_| !below.is_empty());
        if let (Some(called), false) = (
            &called,
            matches!(
                root,
                EvalAltResult::ErrorRuntime(..) | EvalAltResult::ErrorTerminated(..)
            ),
        ) {
            message = format!("`{called}` cannot use what it is given: {message}");
        }
        let only = |places: Vec<(Place, _)>| places.into_iter().map(|(place, _)| place).collect();
        let (place, above, below) = (user.map(|(place, _)| place), only(places), only(below));
        Self {
            message,
            help,
            code,
            unusable: false,
            place,
            called,
            word,
            above,
            below,
        }
    }

    /// A problem of a whole script.
    pub fn plain(message: impl Into<String>, help: Option<String>) -> Self {
        let (above, below) = (Vec::new(), Vec::new());
        let (message, code, unusable) = (message.into(), Code::Check, false);
        Self {
            message,
            help,
            code,
            unusable,
            place: None,
            called: None,
            word: None,
            above,
            below,
        }
    }

    /// The same, of a text that does not compile.
    #[must_use]
    pub fn as_unusable(self) -> Self {
        Self {
            unusable: true,
            ..self
        }
    }

    /// A fault at a place that was found without running anything.
    pub fn at(place: Place, fault: Fault) -> Self {
        let (message, help, code, word) = (fault.message, fault.help, fault.code, fault.word);
        Self {
            message,
            help,
            code,
            place: Some(place),
            called: None,
            word,
            unusable: true,
            above: Vec::new(),
            below: Vec::new(),
        }
    }

    /// The line of its place in `text`: what stands before it, and the rest.
    pub fn around<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str)> {
        let position = self.place.as_ref()?.position;
        let line = text.lines().nth(position.line()? - 1)?;
        let column = position.position()? - 1;
        line.split_at_checked(
            line.char_indices()
                .nth(column)
                .map_or(line.len(), |(at, _)| at),
        )
    }

    /// The same, with its places moved.
    #[must_use]
    pub fn moved(mut self, to: impl Fn(&mut Place)) -> Self {
        self.place
            .iter_mut()
            .chain(&mut self.above)
            .chain(&mut self.below)
            .for_each(to);
        self
    }

    /// The same, with other advice.
    #[must_use]
    pub fn with_help(self, help: Option<String>) -> Self {
        Self {
            help: help.or(self.help),
            ..self
        }
    }

    /// The same, as another kind of failure.
    #[must_use]
    pub fn with_code(self, code: Code) -> Self {
        Self { code, ..self }
    }

    /// The drawing: message, the line with a caret, where it came from, what to do.
    pub fn draw(&self, source: impl Fn(&str) -> Option<String>, color: bool) -> String {
        self.draw_as(Severity::Error, source, color)
    }

    /// The same with the sign of another severity.
    pub fn draw_as(
        &self,
        severity: Severity,
        source: impl Fn(&str) -> Option<String>,
        color: bool,
    ) -> String {
        let mut diagnostic =
            MietteDiagnostic::new(printable_message(&self.message)).with_severity(severity);
        if let Some(help) = self.advice() {
            diagnostic = diagnostic.with_help(printable_message(&help));
        }
        let located = self
            .place
            .as_ref()
            .and_then(|place| Some((place, source(&place.file)?)));
        let report = match located {
            Some((place, text)) => {
                let (start, length) = self.span(place, &text);
                let line_start = text[..start].rfind('\n').map_or(0, |end| end + 1);
                let (line, column) = (place.position.line().unwrap_or(1), start - line_start + 1);
                let name = format!("{}:{line}:{column}", printable_message(&place.file));
                let (text, span) = excerpt(&printable_script(&text), start..start + length);
                let diagnostic =
                    diagnostic.with_label(LabeledSpan::new_primary_with_span(None, span));
                Report::new(diagnostic).with_source_code(NamedSource::new(name, text))
            }
            None => Report::new(diagnostic),
        };
        let theme = if color {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let mut drawing = String::new();
        // The name has the place in the script, whose lines may be longer than what is drawn.
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(110)
            .with_links(false)
            .without_primary_span_start();
        match handler.render_report(&mut drawing, report.as_ref()) {
            Ok(()) => drawing.trim_end().into(),
            Err(_) => printable_message(&self.message),
        }
    }

    fn advice(&self) -> Option<String> {
        let above = self
            .above
            .iter()
            .rev()
            .map(|place| format!("called from {place}"));
        let below = self.below.iter().map(|place| format!("raised in {place}"));
        let lines: Vec<String> = self
            .help
            .clone()
            .into_iter()
            .chain(above)
            .chain(below)
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Where the caret goes: the culprit's word if the line has it, else the token.
    fn span(&self, place: &Place, text: &str) -> (usize, usize) {
        let line = place.position.line().unwrap_or(1);
        let start: usize = text
            .split_inclusive('\n')
            .take(line - 1)
            .map(str::len)
            .sum();
        let line = text[start..].lines().next().unwrap_or_default();
        let column = place.position.position().unwrap_or(1) - 1;
        let token = line
            .char_indices()
            .nth(column)
            .map_or(line.len(), |(at, _)| at);
        let word = self.word.as_deref().filter(|word| !word.is_empty());
        match word.and_then(|word| Some((line[token..].find(word)? + token, word.len()))) {
            Some((at, length)) => (start + at, length),
            None => (start + token, token_length(&line[token..])),
        }
    }
}

fn token_length(rest: &str) -> usize {
    if let Some(quoted) = rest.strip_prefix('"') {
        return quoted.find('"').map_or(rest.len(), |end| end + 2);
    }
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let name: usize = rest
        .chars()
        .take_while(|c| is_name(*c))
        .map(char::len_utf8)
        .sum();
    if name > 0 {
        name
    } else {
        rest.chars().next().map_or(0, char::len_utf8)
    }
}

/// Whether a module is the library's or a native's.
pub fn is_library(file: &str) -> bool {
    file.starts_with("std/") || file.starts_with("core/")
}

/// The innermost error, and the places that lead to it, the script's own first, each with the library's
/// function that is called there.
///
/// In Rhai's frames a position lies in the caller's file while the source is the callee's.
fn trace<'e>(
    error: &'e EvalAltResult,
    script: &str,
) -> (&'e EvalAltResult, Vec<(Place, Option<String>)>) {
    let mut file = script.to_owned();
    let mut error = error;
    let mut places: Vec<(Place, Option<String>)> = Vec::new();
    loop {
        let mut visit = |position: Position, called: Option<String>| {
            let place = Place {
                file: file.clone(),
                position,
            };
            if !position.is_none() && places.last().is_none_or(|(last, _)| *last != place) {
                places.push((place, called));
            }
        };
        match error {
            EvalAltResult::ErrorInFunctionCall(name, source, inner, position) => {
                let alias = source.strip_prefix("std/");
                let bare = name.rsplit("::").next().unwrap_or(name);
                visit(*position, alias.map(|alias| format!("{alias}::{bare}")));
                if !source.is_empty() {
                    file.clone_from(source);
                }
                error = inner;
            }
            EvalAltResult::ErrorInModule(module, inner, position) => {
                visit(*position, None);
                file.clone_from(module);
                error = inner;
            }
            root => {
                visit(root.position(), None);
                return (root, places);
            }
        }
    }
}

fn fault_of(root: &EvalAltResult) -> Fault {
    match root {
        EvalAltResult::ErrorRuntime(value, _) => match value.clone().try_cast::<Fault>() {
            Some(fault) => fault,
            None => Fault::new(value.to_string()),
        },
        EvalAltResult::ErrorTerminated(..) => {
            Fault::new("interrupted").with_code(Code::Interrupted)
        }
        EvalAltResult::ErrorParsing(error, _) => Fault::new(lower_first(&error.to_string())),
        EvalAltResult::ErrorDotExpr(problem, _) => {
            // unknown property 'nam' - a getter is not registered for type 'Engine'
            let names: Vec<&str> = problem.split('\'').skip(1).step_by(2).collect();
            Fault::new(match names.as_slice() {
                [name, kind] => format!("there is no property `{kind}.{name}`"),
                _ => lower_first(problem),
            })
        }
        other => {
            let mut plain = other.to_string();
            if let Some((message, _)) = plain.rsplit_once(" (line ") {
                plain = message.to_owned();
            }
            // Rhai names all types that a text may have in Rust.
            Fault::new(lower_first(
                &plain.replace("&str | ImmutableString | String", "string"),
            ))
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}
