//! Letters: how wide they are, and what must not be one.

/// Text as it may stand in XML and HTML, between tags and in quotes.
pub fn escape(text: &str) -> String {
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

/// The start of a text that is too long.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text
            .chars()
            .take(most.saturating_sub(1))
            .chain(['…'])
            .collect(),
        None => text.to_owned(),
    }
}

/// How wide a text is about, at a size of letters. On the wide side, so that nothing overlaps.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars()
        .map(|letter| if letter.is_ascii() { 0.61 } else { 0.9 })
        .sum::<f64>()
        * size
}

/// A number with three digits that count.
pub fn number(value: f64) -> String {
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
