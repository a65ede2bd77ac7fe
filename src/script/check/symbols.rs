//! The functions that a script can call, and the mistakes of a call.

use super::calls::{ScriptCall, Style, map_keys};
use super::finding::ScriptFinding;
use super::options::{OptionsOwner, generator_mistake, mistakes};
use super::signature::{
    ArgumentSignature, SignatureTable, native_signatures, of_module, table, wrong_arguments,
};
use crate::script::catalog::options_of;
use crate::script::diagnostic::ScriptError;
use crate::script::option_key::OptionKey;
use crate::script::source::{ScriptSource, ScriptSources};
use crate::script::suggest::{did_you_mean, nearest};

/// Functions whose arguments only Rhai can check.
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

/// The functions that one script can call.
pub(super) struct Symbols<'a> {
    pub(super) sources: &'a ScriptSources,
    pub(super) path: &'a str,
    pub(super) source: &'a ScriptSource,
    /// The functions of this script, and of the script that is run.
    own: SignatureTable,
    /// The functions of Rhai and of lmrun.
    natives: SignatureTable,
    /// The keys of maps, whose values may be functions.
    map_keys: Vec<String>,
}

impl<'a> Symbols<'a> {
    /// The functions that `source` can call. `main` is the script that is run.
    pub(super) fn new(
        sources: &'a ScriptSources,
        main: &str,
        path: &'a str,
        source: &'a ScriptSource,
    ) -> Self {
        let mut own = table(source.functions());
        if let Some(main) = sources.get(main) {
            for (name, signatures) in table(main.functions()) {
                own.entry(name).or_default().extend(signatures);
            }
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
            natives: native_signatures(),
            map_keys,
        }
    }

    /// Returns the mistakes of a call.
    pub(super) fn mistakes(&self, call: &ScriptCall) -> Vec<ScriptFinding> {
        let name = call.expr.name.as_str();
        if KEYWORDS.contains(&name) || name.starts_with("anon$") {
            return Vec::new();
        }
        let wrong = match (call.style, call.namespace()) {
            (Style::Method, _) => self.method(call),
            (Style::Function, Some(alias)) => self.qualified(call, alias),
            (Style::Function, None) => self.unqualified(call),
        };
        match wrong {
            Some(finding) => vec![finding],
            None => self.options(call),
        }
    }

    fn unqualified(&self, call: &ScriptCall) -> Option<ScriptFinding> {
        let name = call.expr.name.as_str();
        let found = [&self.own, &self.natives]
            .into_iter()
            .filter_map(|table| table.get(name));
        let signatures: Vec<ArgumentSignature> = found.flatten().cloned().collect();
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

    /// Advice if an imported module has the function.
    fn elsewhere(&self, name: &str) -> Option<String> {
        let mut imports = self.source.imports.iter();
        let (alias, _) = imports.find(|(_, import)| {
            self.module(&import.path)
                .is_some_and(|m| m.contains_key(name))
        })?;
        Some(format!("did you mean `{alias}::{name}`?"))
    }

    fn qualified(&self, call: &ScriptCall, alias: &str) -> Option<ScriptFinding> {
        let name = call.expr.name.as_str();
        let path = &self.source.imports.get(alias)?.path;
        let module = self.module(path)?;
        let title = format!("{alias}::{name}");
        if let Some(signatures) = module.get(name) {
            let signatures: Vec<ArgumentSignature> =
                signatures.iter().map(|s| s.qualified(alias)).collect();
            return wrong_arguments(call, &signatures);
        }
        if self
            .sources
            .get(path)
            .is_some_and(|source| source.functions().iter().any(|f| f.name == name))
        {
            let fault = ScriptError::new(format!("`{title}` is private")).at_word(name);
            let fault = fault.help(format!("only `{path}` itself can call it"));
            return Some(ScriptFinding::mistake(call.position, fault));
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

    fn method(&self, call: &ScriptCall) -> Option<ScriptFinding> {
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

    /// The public functions of a module; `None` if the module is missing, which is reported at its
    /// import.
    fn module(&self, path: &str) -> Option<SignatureTable> {
        if let Some(source) = self.sources.get(path) {
            return Some(table(source.functions().iter().filter(|f| f.is_public)));
        }
        of_module(path)
    }

    /// The mistakes of the options in a call.
    fn options(&self, call: &ScriptCall) -> Vec<ScriptFinding> {
        let name = call.expr.name.as_str();
        let function = call
            .namespace()
            .map_or_else(|| name.to_owned(), |alias| format!("{alias}::{name}"));
        let owner = OptionsOwner {
            function: &function,
            prefix: "",
        };
        let mut found = Vec::new();
        for (at, argument) in call.expr.args.iter().enumerate() {
            if let Some(options) = self.options_at(call, at) {
                found.extend(mistakes(&owner, argument, &options));
            }
        }
        if found.is_empty() {
            found.extend(self.generator_mistake(&owner, call));
        }
        found
    }

    /// The error of a workload generator with these options, each of which is valid alone.
    fn generator_mistake(
        &self,
        owner: &OptionsOwner<'_>,
        call: &ScriptCall,
    ) -> Option<ScriptFinding> {
        let import = self.source.imports.get(call.namespace()?)?;
        match &call.expr.args[..] {
            [options] if import.path == "std/load" => {
                generator_mistake(owner, &call.expr.name, options)
            }
            _ => None,
        }
    }

    /// The options that a call takes at `position`.
    fn options_at(&self, call: &ScriptCall, position: usize) -> Option<Vec<OptionKey>> {
        let name = call.expr.name.as_str();
        let path = match call.namespace() {
            Some(alias) => self.source.imports.get(alias)?.path.as_str(),
            None if self.own.contains_key(name) => self.path,
            None => "core/run",
        };
        options_of(self.sources, path, name, position)
    }
}

fn unknown(call: &ScriptCall, title: &str, help: Option<String>) -> ScriptFinding {
    let fault = ScriptError::new(format!("unknown function `{title}`")).at_word(&call.expr.name);
    let help = help.unwrap_or_else(|| "`lmrun api` lists all functions".into());
    ScriptFinding::mistake(call.position, fault.help(help))
}
