//! The completion menu, with a footer that shows the number of all entries.

use nu_ansi_term::{Color, Style};
use reedline::{
    Completer, Editor, IdeMenu, Menu, MenuBuilder, MenuEvent, MenuSettings, Painter, Suggestion,
};

/// The number of entries that are visible at once.
const VISIBLE: u16 = 10;

/// A menu with the number of its entries.
pub(super) struct CountedMenu(IdeMenu);

impl CountedMenu {
    /// Creates the menu `name`.
    pub(super) fn new(name: &str) -> Self {
        let menu = IdeMenu::default()
            .with_name(name)
            .with_min_description_width(20)
            .with_max_description_width(44)
            .with_max_completion_width(34)
            .with_max_completion_height(VISIBLE)
            .with_description_mode(reedline::DescriptionMode::PreferRight)
            .with_marker("> ");
        Self(menu)
    }

    /// Returns the number of lines of the footer.
    fn footer_lines(&self) -> u16 {
        u16::from(self.get_values().len() > usize::from(VISIBLE))
    }

    fn footer(&self, is_colored: bool) -> String {
        let text = format!("{VISIBLE} of {}; Tab for the next", self.get_values().len());
        if is_colored {
            Style::new().fg(Color::DarkGray).paint(text).to_string()
        } else {
            text
        }
    }
}

impl Menu for CountedMenu {
    fn menu_string(&self, lines: u16, is_colored: bool) -> String {
        let menu = self.0.menu_string(lines, is_colored);
        // Omit the footer if the terminal has no line for it.
        if self.footer_lines() == 0 || menu.lines().count() >= usize::from(lines) {
            return menu;
        }
        // Align the footer with the entries, which are below the completed text.
        let indent = menu.chars().take_while(|c| *c == ' ').count();
        format!("{menu}\r\n{:indent$}{}", "", self.footer(is_colored))
    }

    fn menu_required_lines(&self, columns: u16) -> u16 {
        self.0.menu_required_lines(columns) + self.footer_lines()
    }

    fn min_rows(&self) -> u16 {
        self.0.min_rows() + self.footer_lines()
    }

    fn settings(&self) -> &MenuSettings {
        self.0.settings()
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn clear_input(&mut self) {
        self.0.clear_input();
    }

    fn on_activate(&mut self) {
        self.0.on_activate();
    }

    fn on_deactivate(&mut self) {
        self.0.on_deactivate();
    }

    fn menu_event(&mut self, event: MenuEvent) {
        self.0.menu_event(event);
    }

    fn can_quick_complete(&self) -> bool {
        self.0.can_quick_complete()
    }

    fn can_partially_complete(
        &mut self,
        values_updated: bool,
        editor: &mut Editor,
        completer: &mut dyn Completer,
    ) -> bool {
        self.0
            .can_partially_complete(values_updated, editor, completer)
    }

    fn update_values(&mut self, editor: &mut Editor, completer: &mut dyn Completer) {
        self.0.update_values(editor, completer);
    }

    fn reset_position(&mut self) {
        self.0.reset_position();
    }

    fn update_working_details(
        &mut self,
        editor: &mut Editor,
        completer: &mut dyn Completer,
        painter: &Painter,
    ) {
        self.0.update_working_details(editor, completer, painter);
    }

    fn replace_in_buffer(&self, editor: &mut Editor) {
        self.0.replace_in_buffer(editor);
    }

    fn get_values(&self) -> &[Suggestion] {
        self.0.get_values()
    }

    fn results_are_provisional(&self) -> bool {
        self.0.results_are_provisional()
    }

    fn is_awaiting_first_answer(&self) -> bool {
        self.0.is_awaiting_first_answer()
    }

    fn set_cursor_pos(&mut self, position: (u16, u16)) {
        self.0.set_cursor_pos(position);
    }
}
