//! The value of an input, in a form that does not depend on Rhai.

use crate::core::result::row::COLUMNS;
use crate::core::{Distribution, Engine, EngineResult, ExperimentResult};
use crate::figure::Figure;
use crate::script::api::{Experiment, Handle, Measure};
use rhai::{Array, Dynamic, Map};
use serde_json::Value;
use std::sync::Arc;

/// The value of an input.
pub(crate) enum PromptValue {
    /// No value.
    Nothing,
    /// A string, or the text form of another value.
    Text(String),
    /// A map or an array.
    Data(Value),
    /// One measure of one engine.
    Measure {
        /// The measure and the engine.
        what: String,
        /// The unit; empty if there is none.
        unit: &'static str,
        /// The values.
        values: Distribution,
    },
    /// An experiment.
    Experiment(ExperimentResult),
    /// One engine of an experiment.
    EngineResult(EngineResult),
    /// A figure.
    Figure(Figure),
    /// An engine that was started.
    Engine(Arc<Engine>),
}

impl PromptValue {
    /// Converts a value of `engine`.
    pub(super) fn from_dynamic(engine: &rhai::Engine, value: Dynamic) -> Self {
        if value.is_unit() {
            return Self::Nothing;
        }
        if let Some(measure) = value.read_lock::<Measure>() {
            return Self::Measure {
                what: measure.what(),
                unit: measure.unit(),
                values: measure.values().clone(),
            };
        }
        if let Some(experiment) = value.read_lock::<Experiment>() {
            return Self::Experiment(experiment.seen.clone());
        }
        if let Some(seen) = value.read_lock::<EngineResult>() {
            return Self::EngineResult(seen.clone());
        }
        if let Some(figure) = value.read_lock::<Figure>() {
            return Self::Figure(figure.clone());
        }
        if let Some(handle) = value.read_lock::<Handle>() {
            return Self::Engine(handle.engine().clone());
        }
        if value.is_map() || value.is_array() {
            Self::Data(to_json(engine, &value))
        } else {
            Self::Text(to_text(engine, value))
        }
    }
}

/// Converts a value to JSON. Values of other types become their text form.
fn to_json(engine: &rhai::Engine, value: &Dynamic) -> Value {
    if let Some(map) = value.read_lock::<Map>() {
        return sorted_entries(&map)
            .into_iter()
            .map(|(key, value)| (key.to_owned(), to_json(engine, value)))
            .collect();
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().map(|value| to_json(engine, value)).collect();
    }
    let is_plain = value.is_unit()
        || value.is_bool()
        || value.is_int()
        || value.is_float()
        || value.is_string();
    if is_plain && let Ok(json) = serde_json::to_value(value) {
        return json;
    }
    Value::String(to_text(engine, value.clone()))
}

/// Returns the entries of a map, those of a request in the order of the CSV's columns.
fn sorted_entries(map: &Map) -> Vec<(&str, &Dynamic)> {
    let mut entries: Vec<_> = map
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    if map.contains_key("x_request_id") {
        entries.sort_by_key(|(key, _)| {
            let column = COLUMNS.iter().position(|column| column.name == *key);
            column.unwrap_or(usize::MAX)
        });
    }
    entries
}

/// Returns the text form of a value, or the name of its type if it has none.
fn to_text(engine: &rhai::Engine, value: Dynamic) -> String {
    if value.is_string() {
        return value.to_string();
    }
    let kind = engine.map_type_name(value.type_name()).to_owned();
    engine
        .eval_binary_op::<String>("+", String::new(), value)
        .unwrap_or(kind)
}
