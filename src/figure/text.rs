//! The widths of texts, and their escapes.

/// Escapes a text for XML and HTML, between tags or in quotes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            _ if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// Cuts a text that has more than `most` characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => {
            let start: String = text.chars().take(most.saturating_sub(1)).collect();
            start + "…"
        }
        None => text.to_owned(),
    }
}

/// Estimates the width of a text at a font size. The estimate is high, so that texts do not
/// overlap.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    let letters = text.chars().count();
    let ascii = text.chars().filter(char::is_ascii).count();
    (ascii as f64 * 0.61 + (letters - ascii) as f64 * 0.9) * size
}

/// Formats a number with three significant digits.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 1.0 => format!("{value:.2}"),
        _ if size == 0.0 => "0".into(),
        _ => {
            let decimals = (2.0 - size.log10().floor()).min(9.0) as usize;
            format!("{value:.decimals$}")
        }
    }
}
