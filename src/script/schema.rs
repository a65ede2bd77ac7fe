//! Structs that options are read into: their keys with documentation, and whether they accept a
//! value. The same `Deserialize` reads the options of a run.

use super::diagnostic::ScriptError;
use super::option_error::problem;
use super::option_key::{OptionKey, OptionType};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

/// A struct of options.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    describe: fn() -> Value,
    read: fn(&str, &str, Value) -> Option<Misread>,
}

/// The error of values that a struct does not accept.
pub(crate) struct Misread {
    /// The depth of the error in the values: 1 is the value of an option.
    pub(crate) depth: usize,
    /// True if the error is an unknown key, so that it does not depend on the value.
    pub(crate) is_of_key: bool,
    /// The error.
    pub(crate) fault: ScriptError,
}

impl Schema {
    /// The schema of `T`.
    pub(crate) const fn new<T: DeserializeOwned + JsonSchema>() -> Self {
        Self {
            describe: describe::<T>,
            read: read::<T>,
        }
    }

    /// The options, in the order of the fields.
    pub(crate) fn options(self) -> Vec<OptionKey> {
        let schema = (self.describe)();
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties
            .map(|(name, property)| OptionKey {
                name: name.clone(),
                default: default_text(&property["default"]),
                doc: doc(property),
                types: vec![OptionType::Field(self, name.clone())],
                is_shared: false,
            })
            .collect()
    }

    /// The error of `values` as options of `function`; `None` if the struct accepts them. `prefix`
    /// is put before the names of the options.
    pub(crate) fn misread(&self, function: &str, prefix: &str, values: Value) -> Option<Misread> {
        (self.read)(function, prefix, values)
    }
}

/// The JSON schema of `T`, with the schemas of its fields in place.
fn describe<T: JsonSchema>() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().into()
}

/// The names of the fields of `T` that are options.
pub(crate) fn field_names<T: JsonSchema>() -> Vec<String> {
    let schema = describe::<T>();
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.map(|(name, _)| name.clone()).collect()
}

/// The documentation of a field on one line, with the keys of a nested struct.
fn doc(property: &Value) -> String {
    let text = property["description"].as_str().unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(nested) = property["properties"].as_object() else {
        return text;
    };
    let key = |(name, property): (&String, &Value)| match default_text(&property["default"]) {
        Some(default) => format!("`{name}` ({default})"),
        None => format!("`{name}`"),
    };
    let keys: Vec<String> = nested.iter().map(key).collect();
    format!("{}: {}.", text.trim_end_matches('.'), keys.join(", "))
}

/// A default as scripts write it; `None` if it is an empty or a nested value.
fn default_text(default: &Value) -> Option<String> {
    match default {
        Value::Null | Value::Array(_) | Value::Object(_) => None,
        Value::String(text) if text.is_empty() => None,
        value => Some(value.to_string()),
    }
}

fn read<T: DeserializeOwned>(function: &str, prefix: &str, values: Value) -> Option<Misread> {
    let error = serde_path_to_error::deserialize::<_, T>(values).err()?;
    Some(Misread {
        depth: error
            .path()
            .iter()
            .filter(|segment| !matches!(segment, Segment::Unknown))
            .count(),
        is_of_key: error.inner().to_string().starts_with("unknown field "),
        fault: problem(function, prefix, &error),
    })
}
