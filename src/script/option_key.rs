//! An option of a function: its name, type, default and documentation.
//!
//! Each option is declared once: in the map that a script passes to `options::fill`, or as a field
//! of the Rust struct that it is read into.

use super::schema::Schema;
use rhai::Dynamic;

/// An option of a function.
#[derive(Clone)]
pub(crate) struct OptionKey {
    /// The key in the options map.
    pub(crate) name: String,
    /// The default, as the documentation shows it.
    pub(crate) default: Option<String>,
    /// One line of documentation.
    pub(crate) doc: String,
    /// The types of its value.
    pub(crate) types: Vec<OptionType>,
    /// True if several functions of a module have it, so that the module explains it.
    pub(crate) is_shared: bool,
}

/// The type of an option's value.
#[derive(Clone)]
pub(crate) enum OptionType {
    /// The type of the field of this name.
    Field(Schema, String),
    /// A type of the script language.
    Value(ValueType),
    /// A map of options.
    Options(Vec<OptionKey>),
}

/// A type of the script language, as far as options are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueType {
    /// An integer or a float.
    Number,
    /// `true` or `false`.
    Bool,
    /// A string; an array of strings is accepted as well.
    String,
    /// An array; a string is accepted as well.
    Array,
    /// A map.
    Map,
}

impl ValueType {
    /// The type that a declaration names.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "number" => Self::Number,
            "bool" => Self::Bool,
            "string" => Self::String,
            "array" => Self::Array,
            "map" => Self::Map,
            _ => return None,
        })
    }

    /// The type of a default; `None` if it allows any value.
    pub(crate) fn of_default(value: &Dynamic) -> Option<Self> {
        match value {
            _ if value.is_int() || value.is_float() => Some(Self::Number),
            _ if value.is_bool() => Some(Self::Bool),
            _ if value.is_string() => Some(Self::String),
            _ if value.is_array() => Some(Self::Array),
            _ if value.is_map() => Some(Self::Map),
            _ => None,
        }
    }

    /// Returns true if an option of this type accepts `value`. `()` means "not given".
    pub(crate) fn accepts(self, value: &Dynamic) -> bool {
        let found = Self::of_default(value);
        match self {
            _ if value.is_unit() => true,
            Self::String | Self::Array => matches!(found, Some(Self::String | Self::Array)),
            expected => found == Some(expected),
        }
    }

    /// The type in an error text.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Bool => "`true` or `false`",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Map => "a map",
        }
    }
}

impl OptionKey {
    /// The documentation with the default: `Tokens of the context. (default: 8192)`.
    pub(crate) fn doc_with_default(&self) -> String {
        match &self.default {
            Some(default) => format!("{} (default: {default})", self.doc),
            None => self.doc.clone(),
        }
    }
}
