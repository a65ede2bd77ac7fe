//! The last lines of a terminal, written over in place; what is printed meanwhile scrolls past
//! above them.

use console::{measure_text_width, truncate_str};

/// The lines that are shown now.
#[derive(Debug, Default)]
pub struct Region {
    lines: Vec<String>,
    width: usize,
}

/// Takes away everything from here on.
const CLEAR: &str = "\u{1b}[J";

impl Region {
    /// Returns the text that makes a terminal of this size show `scrolled`, which stays, and below
    /// it
    /// `lines` in place of those shown before. Empty if nothing changes.
    pub fn replace(
        &mut self,
        scrolled: &str,
        lines: Vec<String>,
        (rows, width): (usize, usize),
    ) -> String {
        if scrolled.is_empty() && lines.is_empty() && self.lines.is_empty() {
            return String::new();
        }
        // The last column stays free: a full line would wrap, or not, as the terminal likes.
        let cut = |line: String| truncate_str(&line, width.saturating_sub(1), "…").into_owned();
        let mut text = self.to_start(width);
        if std::mem::replace(&mut self.width, width) != width {
            text += CLEAR; // else the terminal still takes wrapped lines for one
        }
        let scrolled = scrolled.lines().map(|line| format!("{line}\u{1b}[K\n"));
        self.lines = lines
            .into_iter()
            .take(rows.saturating_sub(1))
            .map(cut)
            .collect();
        let lines = self.lines.iter().map(|line| format!("{line}\u{1b}[K\n"));
        text.extend(scrolled.chain(lines));
        text + CLEAR
    }

    /// The lines that stand there now.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Up to the first line. A terminal that has become narrower has wrapped them.
    fn to_start(&self, width: usize) -> String {
        let rows = |line: &String| measure_text_width(line).div_ceil(width.max(1)).max(1);
        match self.lines.iter().map(rows).sum::<usize>() {
            0 => "\r".into(),
            up => format!("\r\u{1b}[{up}A"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZero;

    fn terminal(rows: u16, columns: u16) -> vt100::Parser {
        let size = |cells| NonZero::new(cells).expect("more than none");
        vt100::Parser::new(size(rows), size(columns), 100)
    }

    fn shown(terminal: &vt100::Parser) -> String {
        terminal.screen().contents().trim_end().to_owned()
    }

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    /// A terminal makes a new line of `\n` alone, as its driver does.
    fn send(terminal: &mut vt100::Parser, text: &str) {
        terminal.process(text.replace('\n', "\r\n").as_bytes());
    }

    #[test]
    fn lines_are_written_over_and_results_scroll_past_in_order() {
        let (mut region, size) = (Region::default(), (6, 20));
        let mut terminal = terminal(6, 20);
        send(
            &mut terminal,
            &region.replace("first", lines(&["one 1", "two 2"]), size),
        );
        assert_eq!(shown(&terminal), "first\none 1\ntwo 2");
        send(&mut terminal, &region.replace("", lines(&["one 3"]), size));
        assert_eq!(shown(&terminal), "first\none 3");
        for number in 0..8 {
            let same = region.lines().to_vec();
            send(
                &mut terminal,
                &region.replace(&format!("result {number}"), same, size),
            );
        }
        assert_eq!(
            shown(&terminal),
            "result 4\nresult 5\nresult 6\nresult 7\none 3"
        );
        terminal.screen_mut().set_scrollback(5);
        assert_eq!(
            shown(&terminal),
            "first\nresult 0\nresult 1\nresult 2\nresult 3\nresult 4"
        );
    }

    #[test]
    fn lines_never_wrap_nor_fill_the_screen() {
        let mut region = Region::default();
        let mut terminal = terminal(3, 10);
        let long = ["0123456789", "b", "c", "d"];
        for _ in 0..3 {
            send(&mut terminal, &region.replace("", lines(&long), (3, 10)));
        }
        assert_eq!(shown(&terminal), "01234567…\nb");
        terminal.screen_mut().set_scrollback(9);
        assert_eq!(shown(&terminal), "01234567…\nb", "nothing scrolled away");
    }

    #[test]
    fn an_empty_region_writes_nothing() {
        let (mut region, size) = (Region::default(), (9, 20));
        assert_eq!(region.replace("", Vec::new(), size), "");
        region.replace("", lines(&["a"]), size);
        assert_eq!(region.replace("", Vec::new(), size), "\r\u{1b}[1A\u{1b}[J");
        assert_eq!(region.replace("", Vec::new(), size), "");
    }

    #[test]
    fn a_terminal_that_became_narrower_has_wrapped_the_lines() {
        let mut region = Region::default();
        region.replace("", lines(&["0123456789", "b"]), (9, 20));
        assert_eq!(region.to_start(20), "\r\u{1b}[2A");
        assert_eq!(
            region.replace("", Vec::new(), (9, 5)),
            "\r\u{1b}[3A\u{1b}[J\u{1b}[J"
        );
    }
}
