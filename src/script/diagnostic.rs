//! Errors of scripts: message, place in the user's script, the calls that led there, and help.

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
pub struct ScriptError {
    /// The message: a lower-case fragment.
    pub(crate) message: String,
    /// Advice on how to fix the error.
    pub(crate) help: Option<String>,
    /// The kind of failure.
    pub(crate) code: Code,
    /// The word to underline on the line of the call.
    pub(crate) word: Option<String>,
}

impl ScriptError {
    /// Creates an error of the script.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            code: Code::Check,
            word: None,
        }
    }

    /// Adds advice.
    #[must_use]
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// Underlines `word` if the line of the call contains it.
    #[must_use]
    pub(crate) fn at_word(self, word: &str) -> Self {
        Self {
            word: Some(word.into()),
            ..self
        }
    }

    fn with_code(self, code: Code) -> Self {
        Self { code, ..self }
    }

    /// Converts an error of Rhai, without the calls around it.
    fn from_rhai(error: &EvalAltResult) -> Self {
        match error {
            EvalAltResult::ErrorRuntime(value, _) => value
                .clone()
                .try_cast::<Self>()
                .unwrap_or_else(|| Self::new(value.to_string())),
            EvalAltResult::ErrorTerminated(..) => {
                Self::new("interrupted").with_code(Code::Interrupted)
            }
            EvalAltResult::ErrorParsing(error, _) => Self::new(lower_first(&error.to_string())),
            EvalAltResult::ErrorDotExpr(problem, _) => Self::new(unknown_property(problem)),
            other => {
                let text = other.to_string();
                let message = text
                    .rsplit_once(" (line ")
                    .map_or(text.as_str(), |(message, _)| message);
                // Rhai lists the Rust types of a string.
                let message = message.replace("&str | ImmutableString | String", "string");
                Self::new(lower_first(&message))
            }
        }
    }
}

/// Shortens Rhai's `Unknown property 'nam' - a getter is not registered for type 'Engine'`.
fn unknown_property(problem: &str) -> String {
    let quoted: Vec<&str> = problem.split('\'').skip(1).step_by(2).collect();
    match quoted.as_slice() {
        [name, kind] => format!("unknown property `{kind}.{name}`"),
        _ => lower_first(problem),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<EngineError> for ScriptError {
    fn from(error: EngineError) -> Self {
        Self::new(error.to_string())
            .help(error.remedy())
            .with_code(Code::Engine)
    }
}

/// Raises the error at the place of the call.
impl From<ScriptError> for Box<EvalAltResult> {
    fn from(error: ScriptError) -> Self {
        EvalAltResult::ErrorRuntime(Dynamic::from(error), Position::NONE).into()
    }
}

/// Converts the failure of an experiment. Scripts cannot catch an interrupt.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "Rhai's errors travel in boxes"
)]
pub(crate) fn raise(error: RunError) -> Box<EvalAltResult> {
    match error {
        RunError::Engine(error) => ScriptError::from(error).into(),
        RunError::TooMany(problem) => ScriptError::new(problem)
            .help(
                "raise the limit (`ulimit -Hn`, `LimitNOFILE=`), or send fewer with `concurrency`",
            )
            .with_code(Code::Invalid)
            .into(),
        RunError::Interrupted => interrupted(),
    }
}

/// Returns the error that ends a script and cannot be caught.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "Rhai's errors travel in boxes"
)]
pub(crate) fn interrupted() -> Box<EvalAltResult> {
    EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into()
}

/// A place in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The script's name: a path, or `std/…`.
    pub(crate) file: String,
    /// Line and column.
    pub(crate) position: Position,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.position.line(), self.position.position()) {
            (Some(line), Some(column)) => write!(f, "{}:{line}:{column}", self.file),
            _ => f.write_str(&self.file),
        }
    }
}

/// An error or a warning about a script, ready to be drawn.
#[derive(Debug)]
pub struct Diagnostic {
    /// The message.
    pub(crate) message: String,
    /// Advice on how to fix the problem.
    pub(crate) help: Option<String>,
    /// The kind of failure.
    pub(crate) code: Code,
    /// True if nothing could be run: the script cannot be read or does not compile.
    pub(crate) is_unusable: bool,
    /// The user's own line.
    pub(crate) place: Option<Place>,
    /// The library function that failed when the user's line called it, such as `load::dummy`.
    pub(crate) called: Option<String>,
    /// The word to underline on that line.
    word: Option<String>,
    /// The places that led to the user's line, the outermost first.
    above: Vec<Place>,
    /// The places in the library below it, the innermost last.
    below: Vec<Place>,
}

impl Diagnostic {
    /// Creates a diagnostic without a place.
    pub(crate) fn new(error: ScriptError) -> Self {
        Self {
            message: error.message,
            help: error.help,
            code: error.code,
            is_unusable: false,
            place: None,
            called: None,
            word: error.word,
            above: Vec::new(),
            below: Vec::new(),
        }
    }

    /// Converts `error`, which was raised while `script` ran.
    pub(crate) fn from_error(error: &EvalAltResult, script: &str) -> Self {
        let (root, mut frames) = trace(error, script);
        let mut diagnostic = Self::new(ScriptError::from_rhai(root));
        // The user's line is the innermost one outside of the library.
        let user = frames
            .iter()
            .rposition(|frame| !is_library(&frame.place.file));
        let below = frames.split_off(user.map_or(0, |at| at + 1));
        if let Some(frame) = frames.pop() {
            diagnostic.place = Some(frame.place);
            diagnostic.called = frame.called.filter(|_| !below.is_empty());
        }
        diagnostic.above = frames.into_iter().map(|frame| frame.place).collect();
        diagnostic.below = below.into_iter().map(|frame| frame.place).collect();
        let is_raised = matches!(
            root,
            EvalAltResult::ErrorRuntime(..) | EvalAltResult::ErrorTerminated(..)
        );
        if let (Some(called), false) = (&diagnostic.called, is_raised) {
            diagnostic.message = format!("invalid use of `{called}`: {}", diagnostic.message);
        }
        diagnostic
    }

    /// Creates the diagnostic of an error that was found at a place without running the script.
    pub(crate) fn at(place: Place, error: ScriptError) -> Self {
        Self {
            place: Some(place),
            is_unusable: true,
            ..Self::new(error)
        }
    }

    /// Marks the script as one that cannot be run.
    #[must_use]
    pub(crate) fn into_unusable(self) -> Self {
        Self {
            is_unusable: true,
            ..self
        }
    }

    /// Splits the line of its place in `text` at its column.
    pub(crate) fn split_line<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str)> {
        let position = self.place.as_ref()?.position;
        let line = text.lines().nth(position.line()? - 1)?;
        line.split_at_checked(byte_offset(line, position.position()? - 1))
    }

    /// Applies `change` to each of its places.
    #[must_use]
    pub(crate) fn map_places(mut self, change: impl Fn(&mut Place)) -> Self {
        self.place
            .iter_mut()
            .chain(&mut self.above)
            .chain(&mut self.below)
            .for_each(change);
        self
    }

    /// Replaces the advice if there is a new one.
    #[must_use]
    pub(crate) fn with_help(self, help: Option<String>) -> Self {
        Self {
            help: help.or(self.help),
            ..self
        }
    }

    /// Draws the error: message, the line with a caret, the calls that led there, and help.
    pub(crate) fn draw(&self, source: impl Fn(&str) -> Option<String>, color: bool) -> String {
        self.draw_as(Severity::Error, source, color)
    }

    /// Draws it with the sign of a severity. `source` returns the text of a script.
    pub(crate) fn draw_as(
        &self,
        severity: Severity,
        source: impl Fn(&str) -> Option<String>,
        color: bool,
    ) -> String {
        let theme = if color {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        // The name includes line and column of the whole script, whose lines may be cut here.
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(110)
            .with_links(false)
            .without_primary_span_start();
        let mut drawing = String::new();
        match handler.render_report(&mut drawing, self.report(severity, source).as_ref()) {
            Ok(()) => drawing.trim_end().into(),
            Err(_) => printable_message(&self.message),
        }
    }

    fn report(&self, severity: Severity, source: impl Fn(&str) -> Option<String>) -> Report {
        let mut diagnostic =
            MietteDiagnostic::new(printable_message(&self.message)).with_severity(severity);
        if let Some(help) = self.help_lines() {
            diagnostic = diagnostic.with_help(printable_message(&help));
        }
        let Some(place) = &self.place else {
            return Report::new(diagnostic);
        };
        let Some(text) = source(&place.file) else {
            return Report::new(diagnostic);
        };
        let (start, length) = self.span(place, &text);
        let line_start = text[..start].rfind('\n').map_or(0, |end| end + 1);
        let line = place.position.line().unwrap_or(1);
        let column = start - line_start + 1;
        let name = format!("{}:{line}:{column}", printable_message(&place.file));
        let (text, span) = excerpt(&printable_script(&text), start..start + length);
        let label = LabeledSpan::new_primary_with_span(None, span);
        Report::new(diagnostic.with_label(label)).with_source_code(NamedSource::new(name, text))
    }

    /// Returns the advice, followed by the calls around the user's line.
    fn help_lines(&self) -> Option<String> {
        let mut lines: Vec<String> = self.help.iter().cloned().collect();
        for place in self.above.iter().rev() {
            lines.push(format!("called from {place}"));
        }
        for place in &self.below {
            lines.push(format!("raised in {place}"));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Returns the start and length in bytes of the underlined part: the word if the line contains
    /// it, else the token at the place.
    fn span(&self, place: &Place, text: &str) -> (usize, usize) {
        let line_number = place.position.line().unwrap_or(1);
        let start: usize = text
            .split_inclusive('\n')
            .take(line_number - 1)
            .map(str::len)
            .sum();
        let line = text[start..].lines().next().unwrap_or_default();
        let token = byte_offset(line, place.position.position().unwrap_or(1) - 1);
        let rest = &line[token..];
        if let Some(word) = self.word.as_deref().filter(|word| !word.is_empty())
            && let Some(at) = rest.find(word)
        {
            return (start + token + at, word.len());
        }
        (start + token, token_length(rest))
    }
}

/// Returns the offset in bytes of the character `column` of a line, or the line's length.
fn byte_offset(line: &str, column: usize) -> usize {
    line.char_indices()
        .nth(column)
        .map_or(line.len(), |(at, _)| at)
}

/// Returns the length in bytes of the token at the start of `rest`.
fn token_length(rest: &str) -> usize {
    if let Some(quoted) = rest.strip_prefix('"') {
        return quoted.find('"').map_or(rest.len(), |end| end + 2);
    }
    let name: usize = rest
        .chars()
        .take_while(|c| c.is_alphanumeric() || "_:".contains(*c))
        .map(char::len_utf8)
        .sum();
    if name > 0 {
        name
    } else {
        rest.chars().next().map_or(0, char::len_utf8)
    }
}

/// Returns true if a module belongs to the library or is native.
pub(crate) fn is_library(file: &str) -> bool {
    file.starts_with("std/") || file.starts_with("core/")
}

/// A step of the calls that led to an error.
struct CallFrame {
    place: Place,
    /// The library function that is called there.
    called: Option<String>,
}

/// Returns the innermost error, and the calls that led to it, the script's own first.
///
/// In Rhai's errors, a position is in the caller's file while the source is the callee's.
fn trace<'e>(mut error: &'e EvalAltResult, script: &str) -> (&'e EvalAltResult, Vec<CallFrame>) {
    let mut file = script.to_owned();
    let mut frames = Vec::new();
    loop {
        let place = Place {
            file: file.clone(),
            position: error.position(),
        };
        let mut called = None;
        let inner = match error {
            EvalAltResult::ErrorInFunctionCall(name, source, inner, _) => {
                if let Some(alias) = source.strip_prefix("std/") {
                    let name = name.rsplit("::").next().unwrap_or(name);
                    called = Some(format!("{alias}::{name}"));
                }
                if !source.is_empty() {
                    file.clone_from(source);
                }
                Some(inner)
            }
            EvalAltResult::ErrorInModule(module, inner, _) => {
                file.clone_from(module);
                Some(inner)
            }
            _ => None,
        };
        push_frame(&mut frames, CallFrame { place, called });
        match inner {
            Some(inner) => error = inner,
            None => return (error, frames),
        }
    }
}

/// Adds a frame unless it has no position, or that of the frame before.
fn push_frame(frames: &mut Vec<CallFrame>, frame: CallFrame) {
    let is_new = frames.last().is_none_or(|last| last.place != frame.place);
    if is_new && !frame.place.position.is_none() {
        frames.push(frame);
    }
}
