//! Values of inputs as text.

use super::engines;
use crate::core::ExperimentResult;
use crate::report::{braille, experiment_table, result_width, values};
use crate::script::{Host, PromptValue};
use serde_json::Value;
use std::io::IsTerminal;

/// The maximum number of characters of a text on a terminal.
const MAX_CHARS: usize = 2000;

/// Returns the text of a value.
pub(super) fn value(value: &PromptValue, host: &Host) -> String {
    match value {
        PromptValue::Nothing => String::new(),
        PromptValue::Text(text) => shortened(text),
        PromptValue::Data(Value::Array(rows)) if values::are_rows(rows) => values::rows(rows),
        PromptValue::Data(data) if values::is_request(data) => values::request(data),
        PromptValue::Data(data) => shortened(&values::literal(data)),
        PromptValue::Measure { what, unit, values } => values::distribution(what, unit, values),
        PromptValue::Experiment(seen) => {
            format!("{}\n{}", seen.title, experiment_table(seen, result_width()))
        }
        PromptValue::EngineResult(engine) => {
            let seen = ExperimentResult {
                engines: vec![engine.clone()],
                validity: engine.validity.clone(),
                ..ExperimentResult::default()
            };
            experiment_table(&seen, result_width())
        }
        PromptValue::Figure(figure) => match braille::draw(figure, result_width()) {
            Some(drawing) => drawing,
            None => format!(
                "the figure `{}`; `:plot EXPR FILE.svg` saves it",
                figure.title
            ),
        },
        PromptValue::Engine(engine) => engines::status(host, engine),
    }
}

/// Cuts a long text on a terminal.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) if std::io::stdout().is_terminal() => {
            let rest = text[end..].chars().count();
            format!(
                "{}… and {rest} more characters; `print` shows all",
                &text[..end]
            )
        }
        _ => text.to_owned(),
    }
}
