//! Options maps: one a function, every key checked.

use super::diagnostic::ScriptError;
use super::refusal::{in_words, of_option, problem};
use super::schema::Schema;
use super::suggest::{did_you_mean, look_up};
use rhai::{Dynamic, Map};
use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};
use serde_json::Value;

/// Reads `given` as `T`. `function` is whose options they are, as scripts call it.
pub fn read<T: DeserializeOwned>(function: &str, given: &Map) -> Result<T, ScriptError> {
    check_keys(function, given, fields::<T>())?;
    typed(function, json(function, given)?)
}

/// Reads the options of one function as several structs, one after the other.
pub struct Parts<'a> {
    /// Whose options they are.
    pub function: &'a str,
    /// All that were given.
    pub given: Map,
    left: Map,
    known: Vec<Schema>,
}

impl<'a> Parts<'a> {
    /// The options of `function`.
    pub fn of(function: &'a str, given: Map) -> Self {
        Self {
            function,
            given: given.clone(),
            left: given,
            known: Vec::new(),
        }
    }

    /// Those of which `T` has a field.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, ScriptError> {
        self.known.push(Schema::of::<T>());
        let (own, left) = std::mem::take(&mut self.left)
            .into_iter()
            .partition(|(key, _)| fields::<T>().contains(&key.as_str()));
        self.left = left;
        typed(self.function, json(self.function, &own)?)
    }

    /// What was asked for.
    pub fn known(self) -> Vec<Schema> {
        self.known
    }

    /// That none is left.
    pub fn done(self) -> Result<(), ScriptError> {
        let known: Vec<&str> = self.known.iter().flat_map(Schema::keys).copied().collect();
        check_keys(self.function, &self.left, &known)
    }
}

/// `defaults` with what is `given` in their place. A key that has no default is unknown, and what is given
/// is of the kind of its default, where that has one.
pub fn fill(function: &str, given: &Map, defaults: &Map) -> Result<Map, ScriptError> {
    let known: Vec<&str> = defaults.keys().map(AsRef::as_ref).collect();
    check_keys(function, given, &known)?;
    given
        .iter()
        .try_for_each(|(key, value)| fits(function, key, value, &defaults[key]))?;
    given
        .iter()
        .try_for_each(|(key, value)| check_finite(function, key, value))?;
    let mut filled = defaults.clone();
    filled.extend(
        given
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    Ok(filled)
}

fn check_keys(function: &str, given: &Map, known: &[&str]) -> Result<(), ScriptError> {
    match given.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(
            ScriptError::new(format!("unknown option `{key}` of `{function}`"))
                .at_word(key)
                .help(did_you_mean(key, "options", known)),
        ),
    }
}

/// Whether `value` can stand in the place of `default`: a number for a number, and so on; a text and an array of
/// texts are the same.
pub fn fits(
    function: &str,
    key: &str,
    value: &Dynamic,
    default: &Dynamic,
) -> Result<(), ScriptError> {
    let (expected, fits) = match default {
        _ if value.is_unit() => return Ok(()),
        _ if default.is_int() || default.is_float() => {
            ("a number", value.is_int() || value.is_float())
        }
        _ if default.is_bool() => ("`true` or `false`", value.is_bool()),
        _ if default.is_map() => ("a map", value.is_map()),
        _ if default.is_string() => ("a string", value.is_string() || value.is_array()),
        _ if default.is_array() => ("an array", value.is_string() || value.is_array()),
        _ => return Ok(()),
    };
    let problem = format!("expected {expected}, found {}", in_words(value));
    if fits {
        Ok(())
    } else {
        Err(of_option(function, key, &problem))
    }
}

/// Refuses NaN and infinity anywhere in `value`: JSON writes them as `null`, which would read as "not given".
fn check_finite(function: &str, path: &str, value: &Dynamic) -> Result<(), ScriptError> {
    if value.as_float().is_ok_and(|number| !number.is_finite()) {
        let problem = format!("expected a finite number, found {}", in_words(value));
        return Err(of_option(function, path, &problem));
    }
    if let Ok(map) = value.as_map_ref() {
        map.iter()
            .try_for_each(|(key, value)| check_finite(function, &format!("{path}.{key}"), value))?;
    }
    if let Ok(array) = value.as_array_ref() {
        let mut items = array.iter().enumerate();
        items.try_for_each(|(at, item)| check_finite(function, &format!("{path}[{at}]"), item))?;
    }
    Ok(())
}

/// `()` stands for "not given".
fn json(function: &str, given: &Map) -> Result<Value, ScriptError> {
    given
        .iter()
        .try_for_each(|(key, value)| check_finite(function, key, value))?;
    let given: Map = given
        .iter()
        .filter(|(_, v)| !v.is_unit())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let unreadable = |e| {
        ScriptError::new(format!("the options of `{function}` cannot be read: {e}"))
            .help(look_up(function))
    };
    serde_json::to_value(Dynamic::from_map(given)).map_err(unreadable)
}

fn typed<T: DeserializeOwned>(function: &str, value: Value) -> Result<T, ScriptError> {
    serde_path_to_error::deserialize(value).map_err(|e| problem(function, "", &e))
}

/// The names of the fields of a struct, as its `Deserialize` announces them.
pub fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // It always fails: all that is wanted is what it asks for.
    let _ = T::deserialize(Announced(&mut names));
    names
}

struct Announced<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Announced<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(Error::custom("only the names are wanted"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Error::custom("not a struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
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
        let mut parts = Parts::of("load::dummy", given);
        let (arrivals, request): (Arrivals, RequestOptions) = (
            parts.take().expect("arrivals"),
            parts.take().expect("request options"),
        );
        assert_eq!((arrivals.requests, request.max_tokens), (Some(3), 5));
        assert!(parts.done().is_ok());
    }

    #[test]
    fn an_unknown_key_and_a_wrong_type_are_named() {
        let given = map(r#"{"contxt_len": 3}"#);
        let mut parts = Parts::of("load::dummy", given);
        parts.take::<Dummy>().expect("nothing of it");
        let error = parts.done().expect_err("unknown");
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

    /// What was read, or a message that says whose option is wrong.
    fn is_answered<T: DeserializeOwned>(given: &Map) -> Result<(), TestCaseError> {
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
