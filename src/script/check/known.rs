//! What a script can call, and what is wrong with a call.

use super::Finding;
use super::calls::{Call, Style, map_keys};
use super::options::{Owner, mistakes, refused};
use super::signature::{Signature, Table, natives, of_module, table, wrong_arguments};
use crate::script::catalog::{Key, generator, native_keys, taken};
use crate::script::diagnostic::ScriptError;
use crate::script::source::{ScriptSource, ScriptSources};
use crate::script::suggest::{did_you_mean, nearest};

/// What Rhai itself makes of these depends on the moment.
const KEYWORDS: [&str; 10] = [
    "Fn",
    "call",
    "curry",
    "is_shared",
    "is_def_var",
    "is_def_fn",
    "type_of",
    "eval",
    "print",
    "debug",
];

/// What one script can call.
pub struct Known<'a> {
    sources: &'a ScriptSources,
    path: &'a str,
    source: &'a ScriptSource,
    /// Its own functions, and those of the script that is run.
    own: Table,
    /// Rhai's and lmrun's.
    natives: Table,
    /// What may be a function in a map.
    map_keys: Vec<String>,
}

impl<'a> Known<'a> {
    /// What `source` can call. `main` is the script that is run.
    pub fn new(
        sources: &'a ScriptSources,
        main: &str,
        path: &'a str,
        source: &'a ScriptSource,
    ) -> Self {
        let mut own = table(source.functions());
        for (name, signatures) in sources
            .get(main)
            .map(|main| table(main.functions()))
            .unwrap_or_default()
        {
            own.entry(name).or_default().extend(signatures);
        }
        let map_keys = sources
            .all()
            .flat_map(|(_, source)| map_keys(source))
            .collect();
        Self {
            sources,
            path,
            source,
            own,
            natives: natives(),
            map_keys,
        }
    }

    /// What is wrong with a call.
    pub fn mistakes_of(&self, call: &Call) -> Vec<Finding> {
        let name = call.expr.name.as_str();
        if KEYWORDS.contains(&name) || name.starts_with("anon$") {
            return Vec::new();
        }
        let wrong = match (call.style, call.namespace()) {
            (Style::Method, _) => self.method(call),
            (Style::Function, Some(alias)) => self.qualified(call, alias),
            (Style::Function, None) => self.plain(call),
        };
        match wrong {
            Some(finding) => vec![finding],
            None => self.options(call),
        }
    }

    fn plain(&self, call: &Call) -> Option<Finding> {
        let name = call.expr.name.as_str();
        let found = [&self.own, &self.natives]
            .into_iter()
            .filter_map(|table| table.get(name));
        let signatures: Vec<Signature> = found.flatten().cloned().collect();
        if !signatures.is_empty() {
            return wrong_arguments(call, &signatures);
        }
        let candidates = self
            .own
            .keys()
            .chain(self.natives.keys())
            .map(String::as_str);
        let candidates =
            candidates.filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'));
        let help = self
            .elsewhere(name)
            .or_else(|| Some(format!("did you mean `{}`?", nearest(name, candidates)?)));
        Some(unknown(call, name, help))
    }

    /// A module that is imported and has it.
    fn elsewhere(&self, name: &str) -> Option<String> {
        let mut imports = self.source.imports.iter();
        let (alias, _) = imports.find(|(_, import)| {
            self.module(&import.path)
                .is_some_and(|m| m.contains_key(name))
        })?;
        Some(format!("did you mean `{alias}::{name}`?"))
    }

    fn qualified(&self, call: &Call, alias: &str) -> Option<Finding> {
        let name = call.expr.name.as_str();
        let path = &self.source.imports.get(alias)?.path;
        let module = self.module(path)?;
        let title = format!("{alias}::{name}");
        if let Some(signatures) = module.get(name) {
            let signatures: Vec<Signature> = signatures.iter().map(|s| s.behind(alias)).collect();
            return wrong_arguments(call, &signatures);
        }
        if self
            .sources
            .get(path)
            .is_some_and(|source| source.functions().iter().any(|f| f.name == name))
        {
            let fault = ScriptError::new(format!("`{title}` is private")).at_word(name);
            let fault = fault.help(format!("only `{path}` itself can call it"));
            return Some(Finding::mistake(call.position, fault));
        }
        let names: Vec<String> = module
            .keys()
            .map(|name| format!("{alias}::{name}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Some(unknown(
            call,
            &title,
            Some(did_you_mean(&title, "functions of this module", &names)),
        ))
    }

    fn method(&self, call: &Call) -> Option<Finding> {
        let name = call.expr.name.as_str();
        if self.map_keys.iter().any(|key| key == name) || self.own.contains_key(name) {
            return None;
        }
        let Some(signatures) = self.natives.get(name) else {
            let candidates = self.natives.keys().map(String::as_str);
            let help = nearest(name, candidates).map(|near| format!("did you mean `{near}`?"));
            return Some(unknown(call, name, help));
        };
        wrong_arguments(call, signatures)
    }

    /// The public functions of a module; `None` where it is not there, which is said at its import.
    fn module(&self, path: &str) -> Option<Table> {
        if let Some(source) = self.sources.get(path) {
            return Some(table(source.functions().iter().filter(|f| f.is_public)));
        }
        of_module(path)
    }

    /// What is wrong with the options in a call.
    fn options(&self, call: &Call) -> Vec<Finding> {
        let name = call.expr.name.as_str();
        let function = call
            .namespace()
            .map_or_else(|| name.to_owned(), |alias| format!("{alias}::{name}"));
        let owner = Owner {
            function: &function,
            prefix: "",
        };
        let args = call.expr.args.iter().enumerate();
        let found = args.filter_map(|(at, arg)| Some(mistakes(&owner, arg, &self.keys(call, at)?)));
        let found: Vec<Finding> = found.flatten().collect();
        if found.is_empty() {
            self.refused(&owner, call).into_iter().collect()
        } else {
            found
        }
    }

    /// Why no workload can be made of the options in a call, each of which is right.
    fn refused(&self, owner: &Owner<'_>, call: &Call) -> Option<Finding> {
        let path = &self.source.imports.get(call.namespace()?)?.path;
        let [options] = call.expr.args.as_slice() else {
            return None;
        };
        refused(
            owner,
            &generator(self.sources, path, &call.expr.name)?,
            options,
        )
    }

    /// The keys of the options that a call takes at `position`.
    fn keys(&self, call: &Call, position: usize) -> Option<Vec<Key>> {
        let (name, count) = (call.expr.name.as_str(), call.expr.args.len());
        let path = match call.namespace() {
            Some(alias) => self.source.imports.get(alias)?.path.as_str(),
            None => self.path,
        };
        let taken = taken(self.sources, path, name, count)
            .into_iter()
            .find(|it| it.position == position);
        let is_native = call.namespace().is_none() && !self.own.contains_key(name);
        let native = || {
            is_native
                .then(|| native_keys("core/run", name, position, None))
                .flatten()
        };
        taken.map(|taken| taken.keys).or_else(native)
    }
}

fn unknown(call: &Call, title: &str, help: Option<String>) -> Finding {
    let fault =
        ScriptError::new(format!("there is no function `{title}`")).at_word(&call.expr.name);
    let help = help.unwrap_or_else(|| "`lmrun api` lists what scripts can call".into());
    Finding::mistake(call.position, fault.help(help))
}
