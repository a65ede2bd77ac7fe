//! What can be written at the prompt, beside what the catalog has.

use super::Session;

/// Something that the session has, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type, or how it is called.
    pub kind: String,
    /// The keys of a map.
    pub keys: Vec<String>,
}

impl Session {
    /// The variables, the last one of each name, and the functions.
    pub fn variables(&self) -> Vec<Variable> {
        let mut known = std::collections::BTreeMap::new();
        for (name, _, value) in self.scope.iter() {
            let kind = self.engine.map_type_name(value.type_name()).to_owned();
            let keys = value.read_lock::<rhai::Map>();
            let keys = keys.map_or_else(Vec::new, |map| {
                map.keys().map(ToString::to_string).collect()
            });
            known.insert(
                name.to_owned(),
                Variable {
                    name: name.into(),
                    kind,
                    keys,
                },
            );
        }
        let functions = self
            .functions
            .iter_functions()
            .filter(|f| !f.name.starts_with("anon$"));
        for function in functions {
            let kind = format!("{}({})", function.name, function.params.join(", "));
            let name = function.name.to_owned();
            known.insert(
                name.clone(),
                Variable {
                    name,
                    kind,
                    keys: Vec::new(),
                },
            );
        }
        known.into_values().collect()
    }
}
