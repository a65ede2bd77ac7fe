//! Excerpts of scripts: long lines are cut before they are drawn.

use std::ops::Range;

/// The maximum number of characters of a line in an excerpt.
const MAX_CHARS: usize = 300;

/// Cuts the long lines of a text. Returns it with the new place of the part at `span`. The line in
/// which `span` begins keeps the text around that place, other lines keep their start.
pub(crate) fn excerpt(text: &str, span: Range<usize>) -> (String, Range<usize>) {
    let marked_line = text[..span.start].rfind('\n').map_or(0, |end| end + 1);
    let mut cut = String::new();
    let mut moved = 0..0;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\r', '\n']);
        let is_marked = start == marked_line;
        let at = if is_marked { span.start - start } else { 0 };
        let kept = window(body, at.min(body.len()));
        if kept.start > 0 {
            cut.push('…');
        }
        if is_marked {
            let marked = cut.len() + at - kept.start;
            let length = span.len().min(kept.end.saturating_sub(at));
            moved = marked..marked + length;
        }
        cut.push_str(&body[kept.clone()]);
        if kept.end < body.len() {
            cut.push('…');
        }
        cut.push_str(&line[body.len()..]);
        start += line.len();
    }
    // The error of an incomplete script is after its last line.
    if start == marked_line {
        moved = cut.len()..cut.len();
    }
    (cut, moved)
}

/// Returns the part of a line around `at` that is kept.
fn window(line: &str, at: usize) -> Range<usize> {
    if line.chars().count() <= MAX_CHARS {
        return 0..line.len();
    }
    let before = line[..at].char_indices().rev().take(MAX_CHARS / 2).last();
    let start = before.map_or(at, |(start, _)| start);
    let end = line[start..]
        .char_indices()
        .nth(MAX_CHARS)
        .map_or(line.len(), |(length, _)| start + length);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lines_are_kept() {
        for (text, span) in [
            ("", 0..0),
            ("a", 0..1),
            ("a\nbé\r\nc", 2..5),
            ("a\n", 2..2),
            ("a\r\n", 1..2),
        ] {
            let (cut, moved) = excerpt(text, span.clone());
            assert_eq!((cut.as_str(), moved.start), (text, span.start), "{text:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let long = "é".repeat(2_000_000);
        let text = format!("{long}\nlet a = \"{long}\" + nope + \"{long}\";\n{long}");
        let at = text.find("nope").expect("the culprit");
        let (cut, moved) = excerpt(&text, at..at + 4);
        assert_eq!(&cut[moved], "nope");
        let lengths: Vec<_> = cut.lines().map(|line| line.chars().count()).collect();
        assert_eq!(lengths, [301, 302, 301]);
        assert!(
            cut.lines()
                .nth(1)
                .is_some_and(|line| line.starts_with("…é") && line.ends_with("é…"))
        );
    }

    #[test]
    fn marks_at_the_end_are_kept() {
        let (cut, moved) = excerpt(&"x".repeat(1000), 1000..1000);
        assert_eq!((cut, moved), (format!("…{}", "x".repeat(150)), 153..153));
        let (cut, moved) = excerpt("f(\n", 3..3);
        assert_eq!((cut.as_str(), moved), ("f(\n", 3..3));
    }

    #[test]
    fn long_marks_end_with_their_line() {
        let text = format!("f(\"{}\")\nlet b = 1;", "x".repeat(1000));
        let (cut, moved) = excerpt(&text, 2..1004);
        assert_eq!(&cut[moved], format!("\"{}", "x".repeat(297)));
        assert!(cut.ends_with("x…\nlet b = 1;"));
    }
}
