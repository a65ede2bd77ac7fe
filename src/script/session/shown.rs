//! A value as the prompt shows it, free of Rhai.

use crate::core::{Distribution, Engine, EngineResult, ExperimentResult, Row};
use crate::figure::Figure;
use crate::script::api::{Experiment, Handle, Measure};
use rhai::{Array, Dynamic, Map};
use serde_json::Value;
use std::sync::Arc;

/// What an input gave.
pub enum Shown {
    /// Nothing.
    Nothing,
    /// A text, or something that says in words what it is.
    Text(String),
    /// Numbers, maps, arrays.
    Data(Value),
    /// One measure of one engine.
    Measure {
        /// Which, and of whom.
        what: String,
        /// Its unit, where it has one.
        unit: &'static str,
        /// Its values.
        values: Distribution,
    },
    /// An experiment.
    Experiment(ExperimentResult),
    /// What an experiment saw of one engine.
    EngineResult(EngineResult),
    /// A figure.
    Figure(Figure),
    /// An engine that was started.
    Engine(Arc<Engine>),
}

/// `value` as it is shown.
pub fn of(engine: &rhai::Engine, value: Dynamic) -> Shown {
    if value.is_unit() {
        return Shown::Nothing;
    }
    if let Some(measure) = value.read_lock::<Measure>() {
        let values = measure.values().clone();
        return Shown::Measure {
            what: measure.what(),
            unit: measure.unit(),
            values,
        };
    }
    if let Some(experiment) = value.read_lock::<Experiment>() {
        return Shown::Experiment(experiment.seen.clone());
    }
    if let Some(seen) = value.read_lock::<EngineResult>() {
        return Shown::EngineResult(seen.clone());
    }
    if let Some(figure) = value.read_lock::<Figure>() {
        return Shown::Figure(figure.clone());
    }
    if let Some(handle) = value.read_lock::<Handle>() {
        return Shown::Engine(handle.engine().clone());
    }
    if value.is_map() || value.is_array() {
        Shown::Data(data(engine, &value))
    } else {
        Shown::Text(text(engine, value))
    }
}

/// Maps and arrays through and through; what is neither number nor text says what it is.
fn data(engine: &rhai::Engine, value: &Dynamic) -> Value {
    if let Some(map) = value.read_lock::<Map>() {
        return ordered(&map)
            .map(|(key, value)| (key.to_owned(), data(engine, value)))
            .collect();
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().map(|value| data(engine, value)).collect();
    }
    let plain = value.is_unit()
        || value.is_bool()
        || value.is_int()
        || value.is_float()
        || value.is_string();
    let json = plain.then(|| serde_json::to_value(value).ok()).flatten();
    json.unwrap_or_else(|| Value::String(text(engine, value.clone())))
}

/// The entries of a map; those of a request in the order of the columns.
fn ordered(map: &Map) -> impl Iterator<Item = (&str, &Dynamic)> {
    let columns = if map.contains_key("x_request_id") {
        Row::columns()
    } else {
        Vec::new()
    };
    let place = |key: &str| {
        columns
            .iter()
            .position(|column| column == key)
            .unwrap_or(usize::MAX)
    };
    let mut entries: Vec<_> = map
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    entries.sort_by_key(|(key, _)| place(key));
    entries.into_iter()
}

fn text(engine: &rhai::Engine, value: Dynamic) -> String {
    if value.is_string() {
        return value.to_string();
    }
    let kind = engine.map_type_name(value.type_name()).to_owned();
    let said = engine.eval_binary_op::<String>("+", String::new(), value);
    said.unwrap_or(kind)
}
