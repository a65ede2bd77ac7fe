//! The variables and functions of a session.

use super::evaluate::Session;
use std::collections::BTreeMap;

/// A variable or a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// The name.
    pub(crate) name: String,
    /// The type of a variable, the signature of a function.
    pub(crate) kind: String,
    /// The keys of a map.
    pub(crate) keys: Vec<String>,
}

impl Session {
    /// Returns the variables, the last of each name, and the functions, sorted by name.
    pub(crate) fn variables(&self) -> Vec<Variable> {
        let mut variables = BTreeMap::new();
        for (name, _, value) in self.scope.iter() {
            let keys = match value.read_lock::<rhai::Map>() {
                Some(map) => map.keys().map(ToString::to_string).collect(),
                None => Vec::new(),
            };
            let kind = self.engine.map_type_name(value.type_name()).to_owned();
            let name = name.to_owned();
            variables.insert(name.clone(), Variable { name, kind, keys });
        }
        for function in self.functions.iter_functions() {
            if function.name.starts_with("anon$") {
                continue;
            }
            let kind = format!("{}({})", function.name, function.params.join(", "));
            let name = function.name.to_owned();
            let keys = Vec::new();
            variables.insert(name.clone(), Variable { name, kind, keys });
        }
        variables.into_values().collect()
    }
}
