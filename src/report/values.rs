//! Values as a person at a prompt reads them.

use super::tables;
use crate::core::result::row::engine_label;
use crate::core::{Distribution, least_n};
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde_json::{Map, Value};

/// Rows that are shown of many.
const ROWS: usize = 10;
/// The maximum width of a line.
const WIDTH: usize = 80;
/// The columns that are shown of requests: a whole row is too wide for a terminal.
const COLUMNS: [&str; 7] = [
    "request_id",
    "status",
    "TTFT",
    "latency",
    "tpot_s",
    "cached_tokens",
    "output_tokens",
];
/// The moments of a request, in their order.
const MOMENTS: [&str; 8] = [
    "planned_s",
    "sent_s",
    "headers_s",
    "first_chunk_s",
    "first_token_s",
    "first_answer_s",
    "last_token_s",
    "done_s",
];

/// A table without lines between its rows.
fn new_table(header: &[&str]) -> Table {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let mut table = tables::new_table(&header, None);
    let line = |c: char| LineStyle::none().fill(c).junction(c);
    let style = TableStyle::new()
        .top_border(line('─'))
        .header_separator(line('═'))
        .bottom_border(line('─'));
    table.load_style(style);
    table
}

/// A table of texts.
pub fn table<const N: usize>(
    header: &[&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = new_table(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Left);
    }
    table.to_string()
}

/// Names, and beside each what it is.
pub fn pairs(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    let pairs: Vec<(String, String)> = pairs.into_iter().collect();
    let width = pairs
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let (space, room) = (
        format!("\n{:1$}", "", width + 4),
        WIDTH.saturating_sub(width + 4).max(30),
    );
    let line = |(name, about): &(String, String)| {
        let about = joined(about.split_whitespace().map(str::to_owned), " ", room).join(&space);
        format!("  {name:width$}  {about}").trim_end().to_owned()
    };
    pairs.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The count of one measure, and its distribution. Percentiles of too few values are missing.
pub fn distribution(what: &str, unit: &str, values: &Distribution) -> String {
    let mut table = new_table(&["", "n", "mean", "p50", "p90", "p99", "max"]);
    let number = |value: Option<f64>| value.map_or_else(|| "-".into(), short);
    let tail = |p| {
        values
            .percentile(p)
            .filter(|_| values.count() >= least_n(p))
    };
    let [mean, p50, p90, p99, max] = [
        values.mean(),
        values.percentile(50.0),
        tail(90.0),
        tail(99.0),
        values.max(),
    ]
    .map(number);
    table.add_row([
        format!("{what}, {unit}"),
        values.count().to_string(),
        mean,
        p50,
        p90,
        p99,
        max,
    ]);
    table.to_string()
}

/// Returns true if these are maps with the same keys.
pub fn are_rows(values: &[Value]) -> bool {
    let keys = |value: &Value| {
        value
            .as_object()
            .map(|map| map.keys().cloned().collect::<Vec<_>>())
    };
    let first = values
        .first()
        .and_then(keys)
        .filter(|keys| !keys.is_empty());
    first.is_some() && values.iter().all(|value| keys(value) == first)
}

/// Maps with the same keys as a table: the first of them, and as many columns as there is room for.
pub fn rows(values: &[Value]) -> String {
    let maps: Vec<&Map<String, Value>> = values
        .iter()
        .filter_map(Value::as_object)
        .take(ROWS)
        .collect();
    let Some(first) = maps.first() else {
        return "[]".into();
    };
    let all: Vec<&str> = first.keys().map(String::as_str).collect();
    let columns: Vec<&str> = if values.iter().all(is_request) {
        COLUMNS.to_vec()
    } else {
        fitting(&all, &maps)
    };
    let mut table = new_table(&columns);
    for map in &maps {
        table.add_row(columns.iter().map(|column| cell(&map[*column])));
    }
    let more = values.len().saturating_sub(ROWS);
    let hidden = all.len() - columns.len();
    let notes = [(more, "more rows"), (hidden, "more columns")]
        .into_iter()
        .filter(|(n, _)| *n > 0);
    let notes: Vec<String> = notes.map(|(n, what)| format!("{n} {what}")).collect();
    if notes.is_empty() {
        table.to_string()
    } else {
        format!("{table}\n… {}", notes.join(", "))
    }
}

/// The first columns, as far as they fit into a line.
fn fitting<'a>(all: &[&'a str], maps: &[&Map<String, Value>]) -> Vec<&'a str> {
    let width = |column: &str| {
        maps.iter()
            .map(|map| cell(&map[column]).chars().count())
            .max()
            .unwrap_or(0)
    };
    let mut left = WIDTH;
    let fits = |column: &&&str| {
        let needed = width(column).max(column.chars().count()) + 2;
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        fits
    };
    let fitting: Vec<&str> = all.iter().take_while(fits).copied().collect();
    if fitting.is_empty() {
        all[..1].to_vec()
    } else {
        fitting
    }
}

/// Returns true if this is a measured request.
pub fn is_request(value: &Value) -> bool {
    value.as_object().is_some_and(|map| {
        ["x_request_id", "planned_s", "sent_s"]
            .iter()
            .all(|key| map.contains_key(*key))
    })
}

/// A request: its moments, then what else is known of it.
pub fn request(value: &Value) -> String {
    let Some(row) = value.as_object() else {
        return literal(value);
    };
    let text = |key: &str| row.get(key).map(cell).unwrap_or_default();
    let moment = |key: &str| row.get(key).and_then(Value::as_f64);
    let mut table = new_table(&["moment", "at s", "after the send ms", "since the last ms"]);
    let mut last = None;
    for name in MOMENTS {
        let Some(at) = moment(name) else { continue };
        let ms = |since: Option<f64>| {
            since.map_or_else(String::new, |since| format!("{:.3}", (at - since) * 1e3))
        };
        table.add_row([
            name.trim_end_matches("_s").replace('_', " "),
            format!("{at:.6}"),
            ms(moment("sent_s")),
            ms(last),
        ]);
        last = Some(at);
    }
    let simulated = row.get("simulated") == Some(&Value::Bool(true));
    let head = format!(
        "request {} to {}: {}",
        text("request_id"),
        engine_label(&text("engine"), simulated),
        text("status")
    );
    let is_rest = |key: &str| {
        !MOMENTS.contains(&key) && !["request_id", "engine", "simulated", "status"].contains(&key)
    };
    let rest = row
        .iter()
        .filter(|(key, value)| is_rest(key) && !value.is_null());
    let rest = rest.map(|(key, value)| format!("{key} {}", cell(value)));
    format!("{head}\n{table}\n{}", joined(rest, ", ", WIDTH).join(",\n"))
}

/// Pieces in lines of so many characters at the most, where none is longer by itself.
fn joined(pieces: impl Iterator<Item = String>, between: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(line) if line.chars().count() + between.len() + piece.chars().count() <= room => {
                *line = format!("{line}{between}{piece}");
            }
            _ => lines.push(piece),
        }
    }
    lines
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => short(number.as_f64().unwrap_or_default()),
        Value::Array(_) | Value::Object(_) => literal(value)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
        plain => plain.to_string(),
    }
}

/// A number with the digits that count.
fn short(number: f64) -> String {
    let magnitude = if number == 0.0 {
        0
    } else {
        number.abs().log10().floor() as i32
    };
    format!("{number:.*}", (3 - magnitude).clamp(1, 9) as usize)
}

/// A value as Rhai writes it, in one line where it fits.
pub fn literal(value: &Value) -> String {
    written(value, 0)
}

fn written(value: &Value, indent: usize) -> String {
    let (brackets, items): (_, Vec<String>) = match value {
        Value::Null => return "()".into(),
        Value::Array(values) => (
            ["[", "]"],
            values
                .iter()
                .map(|value| written(value, indent + 4))
                .collect(),
        ),
        Value::Object(map) => {
            let item = |(key, value): (&String, &Value)| {
                format!("{}: {}", name(key), written(value, indent + 4))
            };
            (["#{", "}"], map.iter().map(item).collect())
        }
        plain => return plain.to_string(),
    };
    let inner = if brackets[0] == "#{" && !items.is_empty() {
        " "
    } else {
        ""
    };
    let line = format!(
        "{}{inner}{}{inner}{}",
        brackets[0],
        items.join(", "),
        brackets[1]
    );
    if line.chars().count() + indent <= WIDTH && !line.contains('\n') {
        return line;
    }
    let space = " ".repeat(indent);
    let lines: Vec<String> = items
        .iter()
        .map(|item| format!("{space}    {item},"))
        .collect();
    format!(
        "{}\n{}\n{space}{}",
        brackets[0],
        lines.join("\n"),
        brackets[1]
    )
}

/// A key, in quotes where it is no name.
fn name(key: &str) -> String {
    let is_name = key.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !key.starts_with(|c: char| c.is_numeric());
    if is_name && !key.is_empty() {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

#[cfg(test)]
mod tests;
