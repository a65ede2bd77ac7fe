//! The line editor. Only this file, completion, highlighting and the menu know reedline.

use super::complete::{KnownNames, NameCompleter};
use super::highlight::Colors;
use super::menu::CountedMenu;
use crate::report::color;
use crate::script::{InputState, input_state};
use nu_ansi_term::{Color, Style};
use reedline::{
    DefaultHinter, EditCommand, Emacs, ExternalPrinter, FileBackedHistory, KeyCode, KeyModifiers,
    Prompt, PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal,
    ValidationResult, Validator, default_emacs_keybindings,
};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::SyncSender;

/// The maximum number of lines in the history.
const HISTORY_LINES: usize = 5000;

const MENU: &str = "completions";

/// The maximum number of texts that wait to be shown above the prompt.
const WAITING_TEXTS: usize = 100;

/// The result of reading from the terminal.
pub(super) enum Typed {
    /// A complete input.
    Input(String),
    /// An input that the user has discarded with Ctrl-C.
    Discarded,
    /// The end of input.
    End,
}

/// The editor of a terminal.
pub(super) struct Editor {
    reedline: Reedline,
    above_prompt: SyncSender<String>,
}

impl Editor {
    /// Creates an editor that completes `names` and stops reading when `stop` is set.
    pub(super) fn new(names: Arc<KnownNames>, stop: Arc<AtomicBool>) -> Self {
        let printer = ExternalPrinter::new(WAITING_TEXTS);
        let above_prompt = printer.sender();
        let mut reedline = Reedline::create()
            .with_external_printer(printer)
            .with_break_signal(stop)
            .with_ansi_colors(color())
            .with_validator(Box::new(InputValidator))
            .with_completer(Box::new(NameCompleter(names)))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_highlighter(Box::new(Colors))
            .with_hinter(Box::new(
                DefaultHinter::default().with_style(Style::new().fg(Color::DarkGray)),
            ))
            .with_history_exclusion_prefix(Some(" ".into()))
            .use_bracketed_paste(true)
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(CountedMenu::new(
                MENU,
            ))))
            .with_edit_mode(Box::new(Emacs::new(keys())));
        if let Some(history) = history() {
            reedline = reedline.with_history(Box::new(history));
        }
        Self {
            reedline,
            above_prompt,
        }
    }

    /// Returns a sender of texts to show above the prompt while it reads.
    pub(super) fn above_prompt(&self) -> SyncSender<String> {
        self.above_prompt.clone()
    }

    /// Reads one input.
    pub(super) fn read(&mut self) -> Typed {
        let read = self.reedline.read_line(&PlainPrompt);
        // Save the history first: the input may end lmrun.
        let _ = self.reedline.sync_history();
        match read {
            Ok(Signal::Success(input)) => Typed::Input(input),
            Ok(Signal::CtrlC) => Typed::Discarded,
            // Ctrl-D, the stop flag, or a closed terminal.
            Ok(_) | Err(_) => Typed::End,
        }
    }
}

fn keys() -> reedline::Keybindings {
    let mut keys = default_emacs_keybindings();
    let complete = vec![ReedlineEvent::Menu(MENU.into()), ReedlineEvent::MenuNext];
    keys.add_binding(
        KeyModifiers::NONE,
        KeyCode::Tab,
        ReedlineEvent::UntilFound(complete),
    );
    keys.add_binding(
        KeyModifiers::SHIFT,
        KeyCode::BackTab,
        ReedlineEvent::MenuPrevious,
    );
    let newline = ReedlineEvent::Edit(vec![EditCommand::InsertNewline]);
    keys.add_binding(KeyModifiers::ALT, KeyCode::Enter, newline);
    keys
}

/// Opens the history of earlier sessions, which only the user can read.
fn history() -> Option<FileBackedHistory> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = history_file()?;
    std::fs::create_dir_all(file.parent()?).ok()?;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&file)
        .ok()?;
    FileBackedHistory::with_file(HISTORY_LINES, file).ok()
}

fn history_file() -> Option<PathBuf> {
    let state = match std::env::var_os("XDG_STATE_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => Path::new(&std::env::var_os("HOME")?).join(".local/state"),
    };
    Some(state.join("lmrun/history"))
}

/// Makes Enter continue an input that is incomplete.
struct InputValidator;

impl Validator for InputValidator {
    fn validate(&self, text: &str) -> ValidationResult {
        match input_state(text) {
            InputState::Incomplete if !text.starts_with(':') => ValidationResult::Incomplete,
            _ => ValidationResult::Complete,
        }
    }
}

struct PlainPrompt;

impl Prompt for PlainPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        "lmrun".into()
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        "> ".into()
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        "     | ".into()
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        format!(" search `{}`: ", search.term).into()
    }
}
