//! Structs that options are read into, as they answer without a script that runs: which keys they have, and
//! whether a value is read. Their `Deserialize` says it, the same that reads them in a run.

use super::diagnostic::ScriptError;
use super::options::fields;
use super::refusal::problem;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

/// A struct of options.
#[derive(Clone, Copy)]
pub struct Schema {
    fields: fn() -> &'static [&'static str],
    read: fn(&str, &str, Value) -> Option<Misread>,
}

/// Why values are not read.
pub struct Misread {
    /// How deep in them: 1 is the value of an option.
    pub depth: usize,
    /// Whether a key is at fault, whatever its value.
    pub is_of_key: bool,
    /// What is wrong.
    pub fault: ScriptError,
}

impl Schema {
    /// The schema of `T`.
    pub fn of<T: DeserializeOwned>() -> Self {
        Self {
            fields: fields::<T>,
            read: read::<T>,
        }
    }

    /// Its keys.
    pub fn keys(&self) -> &'static [&'static str] {
        (self.fields)()
    }

    /// What is wrong with `values` as options of `function`, if anything; `prefix` stands before their names.
    pub fn misread(&self, function: &str, prefix: &str, values: Value) -> Option<Misread> {
        (self.read)(function, prefix, values)
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
