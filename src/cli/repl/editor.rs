//! The line editor: the only place that knows reedline, with completion and highlighting beside it.

use super::complete::{Completions, Names};
use super::highlight::Colors;
use super::menu::Counted;
use crate::report::color;
use crate::script::{Reading, reading};
use nu_ansi_term::{Color, Style};
use reedline::{
    DefaultHinter, EditCommand, Emacs, ExternalPrinter, FileBackedHistory, KeyCode, KeyModifiers,
    Prompt, PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal,
    ValidationResult, Validator, default_emacs_keybindings,
};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::SyncSender;

/// Lines of history that are kept.
const KEPT: usize = 5000;
const MENU: &str = "completions";
/// Texts that wait until the editor shows them above the prompt.
const WAITING: usize = 100;

/// What somebody typed.
pub enum Typed {
    /// A whole input.
    Input(String),
    /// What was begun was given up.
    Nothing,
    /// That is all.
    End,
}

/// The editor of a terminal.
pub struct Editor {
    reedline: Reedline,
    aside: SyncSender<String>,
}

impl Editor {
    /// An editor that knows `names`, and gives up when `ends` is set.
    pub fn new(names: Arc<Names>, ends: Arc<AtomicBool>) -> Self {
        let printer = ExternalPrinter::new(WAITING);
        let aside = printer.sender();
        let mut reedline = Reedline::create()
            .with_external_printer(printer)
            .with_break_signal(ends)
            .with_ansi_colors(color())
            .with_validator(Box::new(Whole))
            .with_completer(Box::new(Completions(names)))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_highlighter(Box::new(Colors))
            .with_hinter(Box::new(
                DefaultHinter::default().with_style(Style::new().fg(Color::DarkGray)),
            ))
            .with_history_exclusion_prefix(Some(" ".into()))
            .use_bracketed_paste(true)
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(Counted::new(MENU))))
            .with_edit_mode(Box::new(Emacs::new(keys())));
        if let Some(history) = history() {
            reedline = reedline.with_history(Box::new(history));
        }
        Self { reedline, aside }
    }

    /// Shows texts above the prompt while it reads.
    pub fn aside(&self) -> SyncSender<String> {
        self.aside.clone()
    }

    /// Reads one input.
    pub fn read(&mut self) -> Typed {
        let read = self.reedline.read_line(&Plain);
        // What comes may end lmrun: what was typed is kept first.
        let _ = self.reedline.sync_history();
        match read {
            Ok(Signal::Success(input)) => Typed::Input(input),
            Ok(Signal::CtrlC) => Typed::Nothing,
            // The terminal is gone, or somebody wants the end.
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

/// What was typed in earlier sessions, for the user alone to read.
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
    FileBackedHistory::with_file(KEPT, file).ok()
}

fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    Some(state.or_else(home)?.join("lmrun/history"))
}

/// Enter ends an input when nothing in it is open.
struct Whole;

impl Validator for Whole {
    fn validate(&self, text: &str) -> ValidationResult {
        match reading(text) {
            Reading::Open if !text.starts_with(':') => ValidationResult::Incomplete,
            _ => ValidationResult::Complete,
        }
    }
}

struct Plain;

impl Prompt for Plain {
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
