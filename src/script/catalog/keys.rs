//! Which options a function takes: followed from the call to where the keys are checked, and on to where their
//! values are read.

use super::flow::{calls, entries, is_variable, parts, property, times_in, uses, variables};
use super::item::OptionKey;
use crate::script::api;
use crate::script::schema::Schema;
use crate::script::source::{ScriptSource, ScriptSources};
use rhai::{AST, Dynamic, Expr, FnCallExpr};

/// The options that one parameter of a function takes.
#[derive(Clone)]
pub struct Taken {
    /// Which parameter.
    pub position: usize,
    /// The keys.
    pub keys: Vec<Key>,
}

/// One of them.
#[derive(Clone)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// What its value is used for, as far as it can be followed.
    pub uses: Vec<Use>,
}

/// What the value of an option is used for.
#[derive(Clone)]
pub enum Use {
    /// It is read as this field.
    Field(Schema, String),
    /// Where it is a map or an array, it is a part of this field.
    Part(Schema, String),
    /// It stands in the place of this default.
    Default(Dynamic),
    /// Where it is a map, it is options itself.
    Options(Vec<Key>),
}

/// Each of `keys` with what `docs` say of it.
pub fn explained(keys: &[String], docs: &[OptionKey]) -> Vec<OptionKey> {
    let mut order: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    // As they are explained; what is not explained comes last.
    order.sort_by_key(|key| {
        docs.iter()
            .position(|doc| doc.name == *key)
            .unwrap_or(usize::MAX)
    });
    let explain = |name: &str| {
        let plain = || OptionKey {
            name: name.into(),
            default: None,
            doc: String::new(),
        };
        docs.iter()
            .find(|doc| doc.name == name)
            .cloned()
            .unwrap_or_else(plain)
    };
    order.into_iter().map(explain).collect()
}

/// The options that the function `name` of the script `path` takes when it is called with `arity` arguments.
/// A parameter of which anything else is done than handing it on as options is none.
pub fn taken(sources: &ScriptSources, path: &str, name: &str, arity: usize) -> Vec<Taken> {
    Search {
        sources,
        entered: Vec::new(),
    }
    .function(path, name, arity)
}

/// The generator of workloads that a function makes of its one parameter, if it does nothing else.
pub fn generator(sources: &ScriptSources, path: &str, name: &str) -> Option<String> {
    let source = sources.get(path)?;
    let body = source.body(name, 1);
    let made = calls(&body)
        .into_iter()
        .filter(|call| !call.is_operator_call());
    let [call] = made.collect::<Vec<_>>().try_into().ok()?;
    let target = Within {
        source,
        path,
        body: &body,
    }
    .target(&call)?;
    match call.args.first() {
        Some(Expr::StringConstant(name, _)) if target == "core/load" && call.name == "workload" => {
            Some(name.to_string())
        }
        _ => None,
    }
}

/// The options that a native of `module` takes at `position`; `first` is its first argument where that is a
/// literal text.
pub fn native(module: &str, name: &str, position: usize, first: Option<&str>) -> Option<Vec<Key>> {
    let mut keys = Vec::new();
    for schema in api::options(module, name, position, first)? {
        let key = |name: &&str| Key {
            name: (*name).into(),
            uses: vec![Use::Field(schema, (*name).into())],
        };
        merge(&mut keys, schema.keys().iter().map(key).collect());
    }
    Some(keys)
}

/// Adds `more` to `keys`.
fn merge(keys: &mut Vec<Key>, more: Vec<Key>) {
    for key in more {
        match keys.iter_mut().find(|known| known.name == key.name) {
            Some(known) => known.uses.extend(key.uses),
            None => keys.push(key),
        }
    }
}

struct Search<'a> {
    sources: &'a ScriptSources,
    entered: Vec<(String, String, usize)>,
}

/// The function that is looked at.
#[derive(Clone, Copy)]
struct Within<'s> {
    source: &'s ScriptSource,
    path: &'s str,
    body: &'s AST,
}

impl<'s> Within<'s> {
    /// The script or module that `call` leads to.
    fn target(&self, call: &FnCallExpr) -> Option<&'s str> {
        if call.namespace.is_empty() {
            return Some(self.path);
        }
        Some(&self.source.imports.get(call.namespace.root())?.path)
    }
}

impl Search<'_> {
    fn function(&mut self, path: &str, name: &str, arity: usize) -> Vec<Taken> {
        let taken = |search: &mut Self, within: Within<'_>, position, param: &str| {
            Some(Taken {
                position,
                keys: search.handed_on(within, param)?,
            })
        };
        self.enter(path, name, arity, taken)
    }

    /// What `look` finds for the parameters of a function. One that calls itself is not entered again.
    fn enter<T>(
        &mut self,
        path: &str,
        name: &str,
        arity: usize,
        look: impl Fn(&mut Self, Within<'_>, usize, &str) -> Option<T>,
    ) -> Vec<T> {
        let key = (path.to_owned(), name.to_owned(), arity);
        let Some(source) = self
            .sources
            .get(path)
            .filter(|_| !self.entered.contains(&key))
        else {
            return Vec::new();
        };
        let functions = source.functions();
        let Some(function) = functions
            .iter()
            .find(|f| f.name == name && f.params.len() == arity)
        else {
            return Vec::new();
        };
        self.entered.push(key);
        let body = source.body(name, arity);
        let within = Within {
            source,
            path,
            body: &body,
        };
        let params = function.params.iter().enumerate();
        let found = params
            .filter_map(|(position, param)| look(self, within, position, param))
            .collect();
        self.entered.pop();
        found
    }

    /// The keys of all that `param` is handed on to, if nothing else is done with it.
    fn handed_on(&mut self, within: Within<'_>, param: &str) -> Option<Vec<Key>> {
        let mut keys = Vec::new();
        let mut handed = 0;
        for call in calls(within.body) {
            for (position, argument) in call.args.iter().enumerate() {
                let times = times_in(argument, param);
                if times > 0
                    && let Some(more) = self.keys_of(within, &call, position)
                {
                    handed += times;
                    merge(&mut keys, more);
                }
            }
        }
        (handed > 0 && handed == uses(within.body, param)).then_some(keys)
    }

    /// The keys of the options that `call` takes at `position`.
    fn keys_of(
        &mut self,
        within: Within<'_>,
        call: &FnCallExpr,
        position: usize,
    ) -> Option<Vec<Key>> {
        let target = within.target(call)?;
        if target == "core/options" && call.name == "fill" {
            return if position == 1 {
                self.filled(within, call.args.get(2)?)
            } else {
                None
            };
        }
        let mut own = self
            .function(target, &call.name, call.args.len())
            .into_iter();
        let own = own.find(|taken| taken.position == position);
        own.map(|taken| taken.keys)
            .or_else(|| called(within, call, position))
    }

    /// The keys of the defaults of `options::fill`, given in place or as a variable.
    fn filled(&mut self, within: Within<'_>, defaults: &Expr) -> Option<Vec<Key>> {
        let variables = variables(within.body);
        let defaults = match defaults {
            Expr::Variable(variable, ..) => {
                &variables.iter().find(|(name, _)| *name == variable.1)?.1
            }
            other => other,
        };
        let default = |value: &Expr| {
            value
                .get_literal_value(None)
                .map(Use::Default)
                .into_iter()
                .collect()
        };
        let key = |(name, value): (&str, &Expr)| Key {
            name: name.into(),
            uses: default(value),
        };
        let mut keys: Vec<Key> = entries(defaults).into_iter().map(key).collect();
        let filled = variables
            .iter()
            .filter(|(_, it)| matches!(it, Expr::FnCall(call, _) if call.name == "fill"));
        for (option, of) in filled.flat_map(|(name, _)| self.follow(within, name)) {
            keys.iter_mut()
                .filter(|key| key.name == option)
                .for_each(|key| key.uses.push(of.clone()));
        }
        Some(keys)
    }

    /// What the entries of the variable `map` are used for, by key.
    fn follow(&mut self, within: Within<'_>, map: &str) -> Vec<(String, Use)> {
        let mut found = Vec::new();
        for call in calls(within.body) {
            for (position, argument) in call.args.iter().enumerate() {
                if let Some(name) = property(argument, map)
                    && let Some(options) = self.keys_of(within, &call, position)
                {
                    found.push((name.to_owned(), Use::Options(options)));
                }
                let read = called(within, &call, position);
                found.extend(
                    read.map(|read| read_from(argument, map, &read))
                        .unwrap_or_default(),
                );
                if is_variable(argument, map)
                    && let Some(target) = within.target(&call)
                {
                    found.extend(self.follow_into(target, &call, position));
                }
            }
        }
        found
    }

    /// The same in a function that has the whole map as its parameter at `position`.
    fn follow_into(
        &mut self,
        target: &str,
        call: &FnCallExpr,
        position: usize,
    ) -> Vec<(String, Use)> {
        let all = self.enter(
            target,
            &call.name,
            call.args.len(),
            |search, within, at, param| (at == position).then(|| search.follow(within, param)),
        );
        all.into_iter().flatten().collect()
    }
}

/// The keys of the options that a call takes at `position`, where it is one of a native.
fn called(within: Within<'_>, call: &FnCallExpr, position: usize) -> Option<Vec<Key>> {
    let module = if call.namespace.is_empty() {
        "core/run"
    } else {
        within.target(call)?
    };
    let first = match call.args.first() {
        Some(Expr::StringConstant(text, _)) => Some(text.as_str()),
        _ => None,
    };
    native(module, &call.name, position, first)
}

/// The entries of `argument`, of which the keys `read` are known, that are values of the variable `map`.
fn read_from(argument: &Expr, map: &str, read: &[Key]) -> Vec<(String, Use)> {
    let entries = entries(argument);
    let used = |name: &str, key: &Key| {
        key.uses
            .iter()
            .map(|of| (name.to_owned(), of.clone()))
            .collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for (name, value) in &entries {
        let Some(key) = read.iter().find(|key| key.name == *name) else {
            continue;
        };
        for (part, option) in parts(value)
            .into_iter()
            .filter_map(|part| Some((part, property(part, map)?)))
        {
            let is_whole = std::ptr::eq(part, *value);
            let of = |(name, of)| (name, if is_whole { of } else { part_of(of) });
            found.extend(used(option, key).into_iter().map(of));
        }
    }
    // All of the map, but for what is given beside it.
    if times_in(argument, map) > 0 {
        let others = read
            .iter()
            .filter(|key| !entries.iter().any(|(name, _)| *name == key.name));
        found.extend(others.flat_map(|key| used(&key.name, key)));
    }
    found
}

fn part_of(of: Use) -> Use {
    match of {
        Use::Field(schema, field) => Use::Part(schema, field),
        other => other,
    }
}
