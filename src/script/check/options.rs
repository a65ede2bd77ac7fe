//! Unknown options and invalid literal values of options, also in nested maps and arrays.
//!
//! Literals are read as a run reads them, so these mistakes are certain. Of other values only the
//! key is checked.

use super::finding::ScriptFinding;
use crate::script::api::generator_error;
use crate::script::diagnostic::ScriptError;
use crate::script::option_key::{OptionKey, OptionType};
use crate::script::options::check_type;
use crate::script::schema::Schema;
use crate::script::suggest::did_you_mean;
use rhai::{Dynamic, Expr, Ident, Position};
use serde_json::{Value, json};

/// The function that takes the options.
pub(super) struct OptionsOwner<'a> {
    /// The function, as the script calls it.
    pub(super) function: &'a str,
    /// The prefix of the keys in a nested map: `container.`.
    pub(super) prefix: &'a str,
}

/// Returns the mistakes of the literal maps in `argument`: the map itself, or the maps of a sum or
/// an array.
pub(super) fn mistakes(
    owner: &OptionsOwner<'_>,
    argument: &Expr,
    keys: &[OptionKey],
) -> Vec<ScriptFinding> {
    match argument {
        Expr::Map(map, _) => map
            .0
            .iter()
            .flat_map(|(key, value)| entry(owner, &key.name, key.pos, value, keys))
            .collect(),
        Expr::Array(items, _) => items
            .iter()
            .flat_map(|item| mistakes(owner, item, keys))
            .collect(),
        Expr::FnCall(call, _) if call.name == "+" => call
            .args
            .iter()
            .flat_map(|part| mistakes(owner, part, keys))
            .collect(),
        _ => Vec::new(),
    }
}

fn entry(
    owner: &OptionsOwner<'_>,
    name: &str,
    position: Position,
    value: &Expr,
    keys: &[OptionKey],
) -> Vec<ScriptFinding> {
    let Some(key) = keys.iter().find(|key| key.name == name) else {
        let known: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        let fault = ScriptError::new(format!(
            "unknown option `{}{name}` of `{}`",
            owner.prefix, owner.function
        ));
        let fault = fault
            .at_word(name)
            .help(did_you_mean(name, "options", &known));
        return vec![ScriptFinding::mistake(position, fault)];
    };
    let types = key.types.iter();
    types
        .map(|of| mismatches(owner, name, position, value, of))
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

fn mismatches(
    owner: &OptionsOwner<'_>,
    name: &str,
    position: Position,
    value: &Expr,
    of: &OptionType,
) -> Vec<ScriptFinding> {
    match of {
        // `()` means "not given".
        _ if matches!(value, Expr::Unit(_)) => Vec::new(),
        OptionType::Field(schema, field) => {
            let probe = Probe {
                owner,
                schema: *schema,
                field: field.clone(),
            };
            probe.of(value, name, position, &[])
        }
        OptionType::Value(value_type) => {
            let error = literal(value).and_then(|value| {
                check_type(owner.function, name, &value, Some(*value_type)).err()
            });
            error
                .map(|fault| ScriptFinding::mistake(position, fault))
                .into_iter()
                .collect()
        }
        OptionType::Options(keys) => {
            let prefix = format!("{}{name}.", owner.prefix);
            mistakes(
                &OptionsOwner {
                    function: owner.function,
                    prefix: &prefix,
                },
                value,
                keys,
            )
        }
    }
}

/// Returns the error of a workload generator with literal options: two contradict each other, or a
/// value is out of range.
pub(super) fn generator_mistake(
    owner: &OptionsOwner<'_>,
    generator: &str,
    options: &Expr,
) -> Option<ScriptFinding> {
    let Expr::Map(map, position) = options else {
        return None;
    };
    let fault = generator_error(generator, owner.function, literal(options)?.try_cast()?)?;
    let named = map
        .0
        .iter()
        .find(|(key, _)| fault.word.as_deref() == Some(key.name.as_str()));
    Some(ScriptFinding::mistake(
        named.map_or(*position, |(key, _)| key.pos),
        fault,
    ))
}

/// The value of a literal; `None` for other expressions.
fn literal(expr: &Expr) -> Option<Dynamic> {
    expr.is_constant()
        .then(|| expr.get_literal_value(None))
        .flatten()
}

/// A step into a nested value.
#[derive(Clone)]
enum ValueStep {
    /// To the value of a key of a map.
    Key(String),
    /// To an element of an array, which is tried alone.
    Element,
}

/// Tries whether a struct accepts a value of its field.
struct Probe<'a> {
    owner: &'a OptionsOwner<'a>,
    schema: Schema,
    field: String,
}

impl Probe<'_> {
    /// Returns the mistakes of `value`, which is `steps` below the field. `name` at `position` is
    /// the nearest key.
    fn of(
        &self,
        value: &Expr,
        name: &str,
        position: Position,
        steps: &[ValueStep],
    ) -> Vec<ScriptFinding> {
        let below = |step: ValueStep| [steps, &[step]].concat();
        let inner: Vec<ScriptFinding> = match value {
            Expr::Map(map, _) => {
                let entry = |(key, value): &(Ident, Expr)| {
                    self.of(
                        value,
                        &key.name,
                        key.pos,
                        &below(ValueStep::Key(key.name.to_string())),
                    )
                };
                map.0.iter().flat_map(entry).collect()
            }
            Expr::Array(items, _) => {
                let maps = items.iter().filter(|item| matches!(item, Expr::Map(..)));
                maps.flat_map(|map| self.of(map, name, position, &below(ValueStep::Element)))
                    .collect()
            }
            _ => Vec::new(),
        };
        if inner.is_empty() {
            self.whole(value, name, position, steps)
        } else {
            inner
        }
    }

    /// Returns the mistake of `value` as a whole.
    fn whole(
        &self,
        value: &Expr,
        name: &str,
        position: Position,
        steps: &[ValueStep],
    ) -> Vec<ScriptFinding> {
        let literal = literal(value).and_then(|value| serde_json::to_value(value).ok());
        let is_literal = literal.is_some();
        let values = json!({ &self.field: wrapped(literal.unwrap_or(Value::Null), steps) });
        let Some(misread) = self
            .schema
            .misread(self.owner.function, self.owner.prefix, values)
        else {
            return Vec::new();
        };
        // A key that is missing beside the value may be in the script.
        let is_certain = if is_literal {
            misread.depth > steps.len()
        } else {
            misread.is_of_key
        };
        if is_certain {
            vec![ScriptFinding::mistake(
                position,
                misread.fault.at_word(name),
            )]
        } else {
            Vec::new()
        }
    }
}

/// The nested value that has `value` at `steps`.
fn wrapped(value: Value, steps: &[ValueStep]) -> Value {
    steps.iter().rev().fold(value, |value, step| match step {
        ValueStep::Key(key) => json!({ key: value }),
        ValueStep::Element => json!([value]),
    })
}
