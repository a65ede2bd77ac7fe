//! A sheet of short texts, each behind a word that marks it.

use super::palette::LIGHT;
use super::svg::{FONTS, WIDTH};
use super::text::escape;
use std::fmt::Write;

/// So many lines a page.
const LINES: usize = 40;
/// So many letters fit behind a mark.
const LETTERS: usize = 50;
const HEAD: f64 = 40.0;
const LEADING: f64 = 15.0;

/// Texts under a title.
pub struct Sheet {
    /// The title, on each page.
    pub title: String,
    /// The texts.
    pub lines: Vec<Line>,
}

/// A text of a sheet.
pub struct Line {
    /// What stands before it.
    pub word: String,
    /// Whether that stands out.
    pub is_strong: bool,
    /// The text.
    pub text: String,
}

impl Sheet {
    /// Its pages, each with its height.
    pub fn pages(&self) -> Vec<(String, f64)> {
        let rows: Vec<(Option<&Line>, String)> = self.lines.iter().flat_map(rows).collect();
        rows.chunks(LINES).map(|rows| self.page(rows)).collect()
    }

    fn page(&self, rows: &[(Option<&Line>, String)]) -> (String, f64) {
        let height = HEAD + LEADING * rows.len() as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" font-family=\"{FONTS}\" font-size=\"11.5\"><style>{}</style>\
             <text x=\"2\" y=\"16\" class=\"ft\" font-size=\"13.5\" font-weight=\"bold\">{}</text>",
            LIGHT.css(),
            escape(&self.title)
        );
        for (i, (marked, text)) in rows.iter().enumerate() {
            let y = HEAD + LEADING * i as f64;
            if let Some(line) = marked {
                let look = if line.is_strong {
                    "class=\"ftag\" font-weight=\"bold\""
                } else {
                    "class=\"fm\""
                };
                let _ = write!(
                    svg,
                    "<text x=\"2\" y=\"{y}\" {look}>{}</text>",
                    escape(&line.word)
                );
            }
            let _ = write!(
                svg,
                "<text x=\"82\" y=\"{y}\" class=\"ft\">{}</text>",
                escape(text)
            );
        }
        (svg + "</svg>", height)
    }
}

/// A line as rows that are not too wide; the first has its mark.
fn rows(line: &Line) -> Vec<(Option<&Line>, String)> {
    let texts = textwrap::wrap(&line.text, LETTERS).into_iter().enumerate();
    texts
        .map(|(i, text)| ((i == 0).then_some(line), text.into_owned()))
        .collect()
}
