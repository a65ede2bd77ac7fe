//! Keys of options that a function does not know, and literal values that it does not read: also in maps and
//! arrays within them.
//!
//! A value is a literal if it stands there in full. It is read as a run would read it, so what is found is
//! certain; of other values nothing is said but that their key is not there.

use super::Finding;
use crate::script::api::refused_by_generator;
use crate::script::catalog::{Key, Use};
use crate::script::diagnostic::ScriptError;
use crate::script::options::fits;
use crate::script::schema::Schema;
use crate::script::suggest::did_you_mean;
use rhai::{Dynamic, Expr, Ident, Position};
use serde_json::{Value, json};

/// Whose options they are.
pub struct Owner<'a> {
    /// The function.
    pub function: &'a str,
    /// What stands before a key, where the options are those of an option: `container.`.
    pub prefix: &'a str,
}

/// What is wrong with the maps that stand in `argument`: alone, in a sum, or in an array.
pub fn mistakes(owner: &Owner<'_>, argument: &Expr, keys: &[Key]) -> Vec<Finding> {
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
    owner: &Owner<'_>,
    name: &str,
    position: Position,
    value: &Expr,
    keys: &[Key],
) -> Vec<Finding> {
    let Some(key) = keys.iter().find(|key| key.name == name) else {
        let known: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        let fault = ScriptError::new(format!(
            "unknown option `{}{name}` of `{}`",
            owner.prefix, owner.function
        ));
        let fault = fault
            .at_word(name)
            .help(did_you_mean(name, "options", &known));
        return vec![Finding::mistake(position, fault)];
    };
    let found = key
        .uses
        .iter()
        .map(|of| misused(owner, name, position, value, of));
    found
        .into_iter()
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

fn misused(
    owner: &Owner<'_>,
    name: &str,
    position: Position,
    value: &Expr,
    of: &Use,
) -> Vec<Finding> {
    let is_collection = matches!(value, Expr::Map(..) | Expr::Array(..));
    let probe = |schema, field: &str| Probe {
        owner,
        schema,
        field: field.into(),
    };
    match of {
        // `()` stands for "not given".
        _ if matches!(value, Expr::Unit(_)) => Vec::new(),
        Use::Field(schema, field) => probe(*schema, field).of(value, name, position, &[]),
        Use::Part(schema, field) if is_collection => {
            probe(*schema, field).of(value, name, position, &[])
        }
        Use::Part(..) => Vec::new(),
        Use::Default(default) => {
            let refused =
                literal(value).and_then(|value| fits(owner.function, name, &value, default).err());
            refused
                .map(|fault| Finding::mistake(position, fault))
                .into_iter()
                .collect()
        }
        Use::Options(keys) => {
            let prefix = format!("{}{name}.", owner.prefix);
            mistakes(
                &Owner {
                    function: owner.function,
                    prefix: &prefix,
                },
                value,
                keys,
            )
        }
    }
}

/// Why a generator makes no workload of options that stand there in full: where they contradict each other, or
/// one is out of its range.
pub fn refused(owner: &Owner<'_>, generator: &str, options: &Expr) -> Option<Finding> {
    let Expr::Map(map, position) = options else {
        return None;
    };
    let fault = refused_by_generator(generator, owner.function, literal(options)?.try_cast()?)?;
    let named = map
        .0
        .iter()
        .find(|(key, _)| fault.word.as_deref() == Some(key.name.as_str()));
    Some(Finding::mistake(
        named.map_or(*position, |(key, _)| key.pos),
        fault,
    ))
}

/// The value of an expression that stands there in full.
fn literal(expr: &Expr) -> Option<Dynamic> {
    expr.is_constant()
        .then(|| expr.get_literal_value(None))
        .flatten()
}

/// A step into a value.
#[derive(Clone)]
enum Step {
    /// To what a map has under a key.
    Key(String),
    /// To an element of an array: alone, it is the first.
    Element,
}

/// Tries how a struct reads its field.
struct Probe<'a> {
    owner: &'a Owner<'a>,
    schema: Schema,
    field: String,
}

impl Probe<'_> {
    /// What is wrong with `value`, `steps` below the field, at the nearest key, which is `name` at `position`.
    fn of(&self, value: &Expr, name: &str, position: Position, steps: &[Step]) -> Vec<Finding> {
        let below = |step: Step| [steps, &[step]].concat();
        let inner: Vec<Finding> = match value {
            Expr::Map(map, _) => {
                let entry = |(key, value): &(Ident, Expr)| {
                    self.of(
                        value,
                        &key.name,
                        key.pos,
                        &below(Step::Key(key.name.to_string())),
                    )
                };
                map.0.iter().flat_map(entry).collect()
            }
            Expr::Array(items, _) => {
                let maps = items.iter().filter(|item| matches!(item, Expr::Map(..)));
                maps.flat_map(|map| self.of(map, name, position, &below(Step::Element)))
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

    /// The same without looking for a place within it.
    fn whole(&self, value: &Expr, name: &str, position: Position, steps: &[Step]) -> Vec<Finding> {
        let literal = literal(value).and_then(|value| serde_json::to_value(value).ok());
        let is_literal = literal.is_some();
        let values = json!({ &self.field: wrapped(literal.unwrap_or(Value::Null), steps) });
        let Some(misread) = self
            .schema
            .misread(self.owner.function, self.owner.prefix, values)
        else {
            return Vec::new();
        };
        // What lacks beside it may stand in the script.
        let is_certain = if is_literal {
            misread.depth > steps.len()
        } else {
            misread.is_of_key
        };
        if is_certain {
            vec![Finding::mistake(position, misread.fault.at_word(name))]
        } else {
            Vec::new()
        }
    }
}

/// A value that is found by `steps`.
fn wrapped(value: Value, steps: &[Step]) -> Value {
    steps.iter().rev().fold(value, |value, step| match step {
        Step::Key(key) => json!({ key: value }),
        Step::Element => json!([value]),
    })
}
