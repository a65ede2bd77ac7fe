//! What a script can call, and what is wrong with a call.

use super::Finding;
use super::calls::{Call, Style, literal_keys, map_keys};
use crate::script::api;
use crate::script::catalog::taken;
use crate::script::fault::Fault;
use crate::script::source::{Function, Source, Sources};
use crate::script::suggest::{did_you_mean, nearest};
use std::collections::BTreeMap;

/// What Rhai itself makes of these depends on the moment.
const KEYWORDS: [&str; 10] =
    ["Fn", "call", "curry", "is_shared", "is_def_var", "is_def_fn", "type_of", "eval", "print", "debug"];

/// A function by what it is called with.
#[derive(Clone, Debug)]
struct Signature {
    name: String,
    params: Vec<String>,
}

impl Signature {
    /// As it is called: `array.push(item)` for a method.
    fn form(&self, style: Style) -> String {
        match (style, self.params.split_first()) {
            (Style::Method, Some((this, params))) => format!("`{this}.{}({})`", self.name, params.join(", ")),
            _ => format!("`{}({})`", self.name, self.params.join(", ")),
        }
    }
}

type Table = BTreeMap<String, Vec<Signature>>;

/// What one script can call.
pub struct Known<'a> {
    sources: &'a Sources,
    path: &'a str,
    source: &'a Source,
    /// Its own functions, and those of the script that is run.
    own: Table,
    /// Rhai's and lmrun's.
    natives: Table,
    /// What may be a function in a map.
    map_keys: Vec<String>,
}

impl<'a> Known<'a> {
    /// What `source` can call. `main` is the script that is run.
    pub fn new(sources: &'a Sources, main: &str, path: &'a str, source: &'a Source) -> Self {
        let mut own = table(&source.functions());
        for (name, signatures) in sources.get(main).map(|main| table(&main.functions())).unwrap_or_default() {
            own.entry(name).or_default().extend(signatures);
        }
        let map_keys = sources.all().flat_map(|(_, source)| map_keys(source)).collect();
        Self { sources, path, source, own, natives: natives(), map_keys }
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
            Some(fault) => vec![Finding { position: call.position, fault }],
            None => self.options(call),
        }
    }

    fn plain(&self, call: &Call) -> Option<Fault> {
        let name = call.expr.name.as_str();
        let found = [&self.own, &self.natives].into_iter().filter_map(|table| table.get(name));
        let signatures: Vec<Signature> = found.flatten().cloned().collect();
        if !signatures.is_empty() {
            return wrong_count(call, &signatures);
        }
        let candidates = self.own.keys().chain(self.natives.keys()).map(String::as_str);
        let candidates = candidates.filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'));
        let help =
            self.elsewhere(name).or_else(|| Some(format!("did you mean `{}`?", nearest(name, candidates)?)));
        Some(unknown(name, name, help))
    }

    /// A module that is imported and has it.
    fn elsewhere(&self, name: &str) -> Option<String> {
        let mut imports = self.source.imports.iter();
        let (alias, _) =
            imports.find(|(_, import)| self.module(&import.path).is_some_and(|m| m.contains_key(name)))?;
        Some(format!("did you mean `{alias}::{name}`?"))
    }

    fn qualified(&self, call: &Call, alias: &str) -> Option<Fault> {
        let name = call.expr.name.as_str();
        let path = &self.source.imports.get(alias)?.path;
        let module = self.module(path)?;
        let title = format!("{alias}::{name}");
        if let Some(signatures) = module.get(name) {
            return wrong_count(call, &qualify(alias, signatures));
        }
        if self.sources.get(path).is_some_and(|source| source.functions().iter().any(|f| f.name == name)) {
            let fault = Fault::new(format!("`{title}` is private")).at_word(name);
            return Some(fault.help(format!("only `{path}` itself can call it")));
        }
        let names: Vec<String> = module.keys().map(|name| format!("{alias}::{name}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Some(unknown(&title, name, Some(did_you_mean(&title, "functions of this module", &names))))
    }

    fn method(&self, call: &Call) -> Option<Fault> {
        let name = call.expr.name.as_str();
        if self.map_keys.iter().any(|key| key == name) || self.own.contains_key(name) {
            return None;
        }
        let Some(signatures) = self.natives.get(name) else {
            let candidates = self.natives.keys().map(String::as_str);
            let help = nearest(name, candidates).map(|near| format!("did you mean `{near}`?"));
            return Some(unknown(name, name, help));
        };
        wrong_count(call, signatures)
    }

    /// The public functions of a module; `None` where it is not there, which is said at its import.
    fn module(&self, path: &str) -> Option<Table> {
        if let Some(source) = self.sources.get(path) {
            let public: Vec<Function> = source.functions().into_iter().filter(|f| f.is_public).collect();
            return Some(table(&public));
        }
        let mut engine = rhai::Engine::new_raw();
        engine.register_global_module(api::native(path)?.into());
        Some(signatures(&engine))
    }

    /// Keys of maps in a call that its function does not know.
    fn options(&self, call: &Call) -> Vec<Finding> {
        let (name, args) = (call.expr.name.as_str(), &call.expr.args);
        let path = match call.namespace() {
            Some(alias) => self.source.imports.get(alias).map_or("", |import| import.path.as_str()),
            None => self.path,
        };
        let mut known: Vec<(usize, Vec<String>)> = taken(self.sources, path, name, args.len())
            .into_iter()
            .map(|taken| (taken.position, taken.keys))
            .collect();
        if call.namespace().is_none() && !self.own.contains_key(name) {
            let native = api::options("core/run", name, None);
            known.extend(native.map(|(at, keys)| (at, keys.into_iter().map(str::to_owned).collect())));
        }
        let title = call.namespace().map_or_else(|| name.to_owned(), |alias| format!("{alias}::{name}"));
        let of = |(at, keys): (usize, Vec<String>)| {
            args.get(at).map_or_else(Vec::new, |arg| unknown_keys(&title, arg, &keys))
        };
        known.into_iter().flat_map(of).collect()
    }
}

fn unknown_keys(function: &str, argument: &rhai::Expr, known: &[String]) -> Vec<Finding> {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let unknown = literal_keys(argument).into_iter().filter(|(key, _)| !known.contains(key));
    let finding = |(key, position): (String, rhai::Position)| Finding {
        position,
        fault: Fault::new(format!("unknown option `{key}` of `{function}`"))
            .at_word(&key)
            .help(did_you_mean(&key, "options", &names)),
    };
    unknown.map(finding).collect()
}

fn unknown(title: &str, word: &str, help: Option<String>) -> Fault {
    let fault = Fault::new(format!("there is no function `{title}`")).at_word(word);
    match help {
        Some(help) => fault.help(help),
        None => fault.help("`lmrun api` lists what scripts can call"),
    }
}

fn wrong_count(call: &Call, signatures: &[Signature]) -> Option<Fault> {
    let given = call.expr.args.len();
    // The value before the dot is the first argument.
    let arity = if call.style == Style::Method { given + 1 } else { given };
    if signatures.iter().any(|signature| signature.params.len() == arity) {
        return None;
    }
    let mut forms: Vec<String> = signatures.iter().map(|signature| signature.form(call.style)).collect();
    forms.sort();
    forms.dedup();
    let arguments = if given == 1 { "argument" } else { "arguments" };
    let name = &signatures.first()?.name;
    let fault = Fault::new(format!("`{name}` cannot be called with {given} {arguments}"));
    Some(fault.at_word(&call.expr.name).help(format!("it is called as {}", forms.join(" or "))))
}

fn qualify(alias: &str, signatures: &[Signature]) -> Vec<Signature> {
    let with = |s: &Signature| Signature { name: format!("{alias}::{}", s.name), ..s.clone() };
    signatures.iter().map(with).collect()
}

fn table(functions: &[Function]) -> Table {
    let mut table = Table::new();
    for f in functions {
        let signature = Signature { name: f.name.clone(), params: f.params.clone() };
        table.entry(f.name.clone()).or_default().push(signature);
    }
    table
}

/// What every script has: Rhai's functions and lmrun's.
fn natives() -> Table {
    let mut engine = rhai::Engine::new();
    api::register(&mut engine);
    signatures(&engine)
}

fn signatures(engine: &rhai::Engine) -> Table {
    let one = |info: rhai::FuncInfo<'_>| {
        let f = info.metadata;
        let name = |info: Option<&rhai::Identifier>| {
            info.map_or("value", |info| info.split(':').next().unwrap_or(info).trim()).to_owned()
        };
        let params = (0..f.num_params).map(|i| name(f.params_info.get(i))).collect();
        Some((f.name.to_string(), Signature { name: f.name.to_string(), params }))
    };
    let mut table = Table::new();
    for (name, signature) in engine.collect_fn_metadata(None, one, true) {
        table.entry(name).or_default().push(signature);
    }
    table
}
