//! Options maps of functions, with checked keys and values.

use super::diagnostic::ScriptError;
use super::option_error::{in_words, of_option, problem};
use super::option_key::ValueType;
use super::schema::field_names;
use super::suggest::{did_you_mean, look_up};
use rhai::{Dynamic, Map};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads the options of `function` as `T`.
pub(crate) fn read<T: DeserializeOwned + JsonSchema>(
    function: &str,
    given: &Map,
) -> Result<T, ScriptError> {
    check_keys(function, given, &field_names::<T>())?;
    typed(function, json(function, given)?)
}

/// Reads the options of one function as several structs.
pub(crate) struct OptionReader<'a> {
    /// The function, as scripts call it.
    pub(crate) function: &'a str,
    /// All given options.
    pub(crate) given: Map,
    unread: Map,
    known: Vec<String>,
}

impl<'a> OptionReader<'a> {
    /// A reader of the options of `function`.
    pub(crate) fn new(function: &'a str, given: Map) -> Self {
        Self {
            function,
            unread: given.clone(),
            given,
            known: Vec::new(),
        }
    }

    /// Reads the options that are fields of `T`.
    pub(crate) fn read<T: DeserializeOwned + JsonSchema>(&mut self) -> Result<T, ScriptError> {
        let names = field_names::<T>();
        let (own, unread) = std::mem::take(&mut self.unread)
            .into_iter()
            .partition(|(key, _)| names.iter().any(|name| name == key));
        self.unread = unread;
        self.known.extend(names);
        typed(self.function, json(self.function, &own)?)
    }

    /// Fails if an option is left that no struct has.
    pub(crate) fn finish(self) -> Result<(), ScriptError> {
        check_keys(self.function, &self.unread, &self.known)
    }
}

/// Returns the value of each declared option: the given one, or the default.
///
/// An entry of `declared` is a default, or a map with `doc` and optionally `value`, `type` and
/// `options`. A given value must have the declared type, or the type of the default.
pub(crate) fn fill(function: &str, given: &Map, declared: &Map) -> Result<Map, ScriptError> {
    let known: Vec<String> = declared.keys().map(ToString::to_string).collect();
    check_keys(function, given, &known)?;
    let mut filled = Map::new();
    for (key, entry) in declared {
        let entry = DeclaredOption::new(function, key, entry)?;
        if let Some(value) = given.get(key) {
            check_type(function, key, value, entry.value_type)?;
            check_finite(function, key, value)?;
        }
        let value = given.get(key).unwrap_or(&entry.default);
        filled.insert(key.clone(), value.clone());
    }
    Ok(filled)
}

/// An entry of the map that declares options.
struct DeclaredOption {
    default: Dynamic,
    value_type: Option<ValueType>,
}

impl DeclaredOption {
    fn new(function: &str, key: &str, entry: &Dynamic) -> Result<Self, ScriptError> {
        let declaration = entry
            .as_map_ref()
            .ok()
            .filter(|map| map.contains_key("doc"));
        let Some(declaration) = declaration else {
            return Ok(Self {
                default: entry.clone(),
                value_type: ValueType::of_default(entry),
            });
        };
        let default = declaration.get("value").cloned().unwrap_or_default();
        let value_type = match declaration.get("type").map(ToString::to_string) {
            None => ValueType::of_default(&default),
            Some(name) => Some(ValueType::from_name(&name).ok_or_else(|| {
                of_option(
                    function,
                    key,
                    &format!("it is declared with unknown type `{name}`"),
                )
            })?),
        };
        Ok(Self {
            default,
            value_type,
        })
    }
}

fn check_keys(function: &str, given: &Map, known: &[String]) -> Result<(), ScriptError> {
    let unknown = given
        .keys()
        .find(|key| !known.iter().any(|name| name == *key));
    let Some(key) = unknown else {
        return Ok(());
    };
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Err(
        ScriptError::new(format!("unknown option `{key}` of `{function}`"))
            .at_word(key)
            .help(did_you_mean(key, "options", &known)),
    )
}

/// Fails if an option of this type does not accept `value`.
pub(crate) fn check_type(
    function: &str,
    key: &str,
    value: &Dynamic,
    value_type: Option<ValueType>,
) -> Result<(), ScriptError> {
    let expected = match value_type {
        Some(value_type) if !value_type.accepts(value) => value_type.description(),
        _ => return Ok(()),
    };
    let problem = format!("expected {expected}, found {}", in_words(value));
    Err(of_option(function, key, &problem))
}

/// Fails for NaN and infinity anywhere in `value`: JSON has `null` instead, which means "not
/// given".
fn check_finite(function: &str, path: &str, value: &Dynamic) -> Result<(), ScriptError> {
    if value.as_float().is_ok_and(|number| !number.is_finite()) {
        let problem = format!("expected a finite number, found {}", in_words(value));
        return Err(of_option(function, path, &problem));
    }
    if let Ok(map) = value.as_map_ref() {
        for (key, value) in map.iter() {
            check_finite(function, &format!("{path}.{key}"), value)?;
        }
    }
    if let Ok(array) = value.as_array_ref() {
        for (at, item) in array.iter().enumerate() {
            check_finite(function, &format!("{path}[{at}]"), item)?;
        }
    }
    Ok(())
}

/// The options as JSON, without those that are `()`, which means "not given".
fn json(function: &str, given: &Map) -> Result<Value, ScriptError> {
    let mut values = Map::new();
    for (key, value) in given {
        check_finite(function, key, value)?;
        if !value.is_unit() {
            values.insert(key.clone(), value.clone());
        }
    }
    serde_json::to_value(Dynamic::from_map(values)).map_err(|e| {
        ScriptError::new(format!("cannot read the options of `{function}`: {e}"))
            .help(look_up(function))
    })
}

fn typed<T: DeserializeOwned>(function: &str, value: Value) -> Result<T, ScriptError> {
    serde_path_to_error::deserialize(value).map_err(|e| problem(function, "", &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::workload::{Arrivals, Dummy, RequestOptions};
    use crate::core::{EngineSpec, RunOptions};
    use proptest::prelude::*;

    fn map(json: &str) -> Map {
        serde_json::from_str::<Dynamic>(json)
            .expect("a value")
            .cast()
    }

    #[test]
    fn keys_go_to_the_struct_that_has_them() {
        let given = map(r#"{"requests": 3, "gap_s": 2, "max_tokens": 5}"#);
        let mut parts = OptionReader::new("load::dummy", given);
        let (arrivals, request): (Arrivals, RequestOptions) = (
            parts.read().expect("arrivals"),
            parts.read().expect("request options"),
        );
        assert_eq!((arrivals.requests, request.max_tokens), (Some(3), 5));
        assert!(parts.finish().is_ok());
    }

    #[test]
    fn an_unknown_key_and_a_wrong_type_are_named() {
        let given = map(r#"{"contxt_len": 3}"#);
        let mut parts = OptionReader::new("load::dummy", given);
        parts.read::<Dummy>().expect("nothing of it");
        let error = parts.finish().expect_err("unknown");
        assert_eq!(
            error.message,
            "unknown option `contxt_len` of `load::dummy`"
        );
        assert_eq!(error.help.as_deref(), Some("did you mean `context_len`?"));
        let error = read::<Arrivals>("load::dummy", &map(r#"{"gap_s": "x"}"#)).expect_err("a text");
        assert_eq!(
            error.message,
            "option `gap_s` of `load::dummy`: expected a number of seconds, zero or more, found \"x\""
        );
        let error =
            read::<Arrivals>("load::dummy", &map(r#"{"requests": -1}"#)).expect_err("negative");
        assert_eq!(
            error.message,
            "option `requests` of `load::dummy`: expected a whole number, zero or more, found -1"
        );
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused_at_every_depth() {
        let stage = Dynamic::from_map(Map::from([("qps".into(), f64::INFINITY.into())]));
        let cases = [
            (
                "gap_s",
                Dynamic::from(f64::NAN),
                "`gap_s` of `f`: expected a finite number, found NaN",
            ),
            (
                "stages",
                vec![stage].into(),
                "`stages[0].qps` of `f`: expected a finite number, found inf",
            ),
        ];
        for (key, value, message) in cases {
            let given = Map::from([(key.into(), value)]);
            let error = read::<Arrivals>("f", &given).expect_err(key);
            assert_eq!(error.message, format!("option {message}"));
            let defaults = Map::from([(key.into(), Dynamic::UNIT)]);
            let error = fill("f", &given, &defaults).expect_err(key);
            assert_eq!(error.message, format!("option {message}"));
        }
    }

    #[test]
    fn filling_keeps_what_is_given() {
        let filled = fill("f", &map(r#"{"a": 1}"#), &map(r#"{"a": 0, "b": 2}"#)).expect("known");
        assert_eq!(filled["a"].as_int(), Ok(1));
        assert_eq!(filled["b"].as_int(), Ok(2));
        assert!(fill("f", &map(r#"{"c": 1}"#), &map("{}")).is_err());
    }

    /// Any value that a script can give.
    fn value() -> impl Strategy<Value = Dynamic> {
        let leaf = prop_oneof![
            Just(Dynamic::UNIT),
            any::<bool>().prop_map(Dynamic::from),
            any::<i64>().prop_map(Dynamic::from),
            any::<f64>().prop_map(Dynamic::from),
            any::<String>().prop_map(Dynamic::from),
            any::<char>().prop_map(Dynamic::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let key = prop_oneof![
                prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned),
                any::<String>()
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Dynamic::from_array),
                prop::collection::btree_map(key, inner, 0..4).prop_map(|map| {
                    Dynamic::from_map(
                        map.into_iter()
                            .map(|(key, value)| (key.into(), value))
                            .collect(),
                    )
                }),
            ]
        })
    }

    const KEYS: [&str; 16] = [
        "name",
        "kind",
        "model",
        "command",
        "env",
        "port",
        "gpus",
        "helpers",
        "warmup",
        "limits",
        "first_token_s",
        "requests",
        "gap_s",
        "qps",
        "max_tokens",
        "extra_body",
    ];

    /// Fails unless `given` is read, or refused with a message that names the function.
    fn is_answered<T: DeserializeOwned + JsonSchema>(given: &Map) -> Result<(), TestCaseError> {
        if let Err(fault) = read::<T>("f", given) {
            prop_assert!(fault.message.contains("`f`"), "{}", fault.message);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_options_are_read_or_refused_in_words(
            given in prop::collection::btree_map(prop::sample::select(KEYS.to_vec()), value(), 0..8)
        ) {
            let given: Map = given.into_iter().map(|(key, value)| (key.into(), value)).collect();
            is_answered::<EngineSpec>(&given)?;
            is_answered::<RunOptions>(&given)?;
            is_answered::<Arrivals>(&given)?;
            is_answered::<RequestOptions>(&given)?;
            let known = |keys: [&'static str; 3]| given.iter().filter(move |(key, _)| keys.contains(&key.as_str()));
            let of = |keys| known(keys).map(|(key, value)| (key.clone(), value.clone())).collect::<Map>();
            is_answered::<EngineSpec>(&of(["name", "env", "helpers"]))?;
            is_answered::<RunOptions>(&of(["warmup", "limits", "limits"]))?;
            is_answered::<Arrivals>(&of(["requests", "gap_s", "qps"]))?;
            is_answered::<RequestOptions>(&of(["max_tokens", "extra_body", "extra_body"]))?;
        }
    }
}
