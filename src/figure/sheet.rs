//! A page of short texts, each with a word in front.

use super::palette::LIGHT;
use super::svg::{FONTS, WIDTH};
use super::text::escape;
use std::fmt::Write;

/// The number of lines per page.
const LINES: usize = 40;
/// The number of letters per line.
const LETTERS: usize = 50;
const HEAD: f64 = 40.0;
const LEADING: f64 = 15.0;

/// Texts under a title.
pub(crate) struct Sheet {
    /// The title of each page.
    pub(crate) title: String,
    /// The texts.
    pub(crate) lines: Vec<SheetLine>,
}

/// A text of a sheet.
pub(crate) struct SheetLine {
    /// The word in front of the text.
    pub(crate) word: String,
    /// True if the word is emphasized.
    pub(crate) is_strong: bool,
    /// The text.
    pub(crate) text: String,
}

/// A row of a page: a part of a text. The first row of a text has the line with its word.
struct SheetRow<'a> {
    line: Option<&'a SheetLine>,
    text: String,
}

impl Sheet {
    /// Draws the pages. Also returns their heights.
    pub(crate) fn pages(&self) -> Vec<(String, f64)> {
        let mut rows = Vec::new();
        for line in &self.lines {
            for (i, text) in textwrap::wrap(&line.text, LETTERS).iter().enumerate() {
                rows.push(SheetRow {
                    line: (i == 0).then_some(line),
                    text: text.to_string(),
                });
            }
        }
        rows.chunks(LINES).map(|rows| self.page(rows)).collect()
    }

    fn page(&self, rows: &[SheetRow<'_>]) -> (String, f64) {
        let height = HEAD + LEADING * rows.len() as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\" font-family=\"{FONTS}\" font-size=\"11.5\">\
             <style>{}</style>\
             <text x=\"2\" y=\"16\" class=\"ft\" font-size=\"13.5\" font-weight=\"bold\">{}</text>",
            LIGHT.css(),
            escape(&self.title)
        );
        for (i, row) in rows.iter().enumerate() {
            let y = HEAD + LEADING * i as f64;
            if let Some(line) = row.line {
                let style = if line.is_strong {
                    "class=\"ftag\" font-weight=\"bold\""
                } else {
                    "class=\"fm\""
                };
                let word = escape(&line.word);
                let _ = write!(svg, "<text x=\"2\" y=\"{y}\" {style}>{word}</text>");
            }
            let text = escape(&row.text);
            let _ = write!(svg, "<text x=\"82\" y=\"{y}\" class=\"ft\">{text}</text>");
        }
        (svg + "</svg>", height)
    }
}
