//! A value as people read it.

use super::engines;
use crate::core::ExperimentResult;
use crate::report::{braille, experiment_table, result_width, values};
use crate::script::{Host, Shown};
use serde_json::Value;
use std::io::IsTerminal;

/// Characters of a text that a terminal is given.
const LONGEST: usize = 2000;

/// `shown` in the way that fits what it is.
pub fn text(shown: &Shown, host: &Host) -> String {
    match shown {
        Shown::Nothing => String::new(),
        Shown::Text(text) => cut(text),
        Shown::Data(Value::Array(rows)) if values::are_rows(rows) => values::rows(rows),
        Shown::Data(data) if values::is_request(data) => values::request(data),
        Shown::Data(data) => cut(&values::literal(data)),
        Shown::Measure {
            what,
            unit,
            values: seen,
        } => values::distribution(what, unit, seen),
        Shown::Experiment(seen) => {
            format!("{}\n{}", seen.title, experiment_table(seen, result_width()))
        }
        Shown::EngineResult(engine) => {
            let (engines, validity) = (vec![engine.clone()], engine.validity.clone());
            experiment_table(
                &ExperimentResult {
                    engines,
                    validity,
                    ..ExperimentResult::default()
                },
                result_width(),
            )
        }
        Shown::Figure(figure) => braille::draw(figure, result_width()).unwrap_or_else(|| {
            format!(
                "the figure `{}`; `:plot EXPR FILE.svg` draws it",
                figure.title
            )
        }),
        Shown::Engine(engine) => engines::status(host, engine),
    }
}

/// The start of a long text, where a person reads it.
fn cut(text: &str) -> String {
    match text
        .char_indices()
        .nth(LONGEST)
        .filter(|_| std::io::stdout().is_terminal())
    {
        None => text.to_owned(),
        Some((end, _)) => {
            let left = text[end..].chars().count();
            format!(
                "{}… and {left} more characters: `print` shows all",
                &text[..end]
            )
        }
    }
}
