//! One thing that scripts can call.

use super::doc::Doc;
use std::fmt;

/// Where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Home {
    /// It is there without an import.
    Global,
    /// It belongs to the values of a type.
    Type(String),
    /// It is in a module, such as `std/load`.
    Module(String),
}

impl Home {
    /// What stands before its name: `load` of `std/load`.
    pub fn alias(&self) -> &str {
        match self {
            Self::Global => "global",
            Self::Type(name) => name,
            Self::Module(path) => path.rsplit('/').next().unwrap_or(path),
        }
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Type(name) | Self::Module(name) => f.write_str(name),
        }
    }
}

/// How it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `f(x)`, or `module::f(x)`.
    Function,
    /// `x.f()`.
    Method,
    /// `x.f`.
    Property,
    /// `x[y]`.
    Index,
}

/// A parameter of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// The type that a native takes; the library's functions check for themselves.
    pub kind: Option<String>,
}

/// One way to call it.
#[derive(Clone, Debug)]
pub struct Signature {
    /// Its parameters, without the value of a method.
    pub params: Vec<Param>,
    /// What a native returns.
    pub returns: Option<String>,
    /// Its doc comment.
    pub doc: Doc,
}

/// A key of the options map that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionKey {
    /// The key.
    pub name: String,
    /// The default, as the doc comment writes it.
    pub default: Option<String>,
    /// What it is for.
    pub doc: String,
}

/// One name that scripts can call.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it comes from.
    pub home: Home,
    /// Its name.
    pub name: String,
    /// How it is used.
    pub kind: Kind,
    /// The ways to call it, the one that is explained first.
    pub signatures: Vec<Signature>,
    /// The keys of the options map that it takes.
    pub options: Vec<OptionKey>,
}

impl Item {
    /// Its name in full: `run`, `load::dummy`, `Engine.close`.
    pub fn title(&self) -> String {
        match &self.home {
            Home::Global => self.name.clone(),
            Home::Type(kind) if self.kind == Kind::Index => format!("{kind}[…]"),
            Home::Type(kind) => format!("{kind}.{}", self.name),
            Home::Module(_) => format!("{}::{}", self.home.alias(), self.name),
        }
    }

    /// How one signature is called: `load::dummy(options)`.
    pub fn usage(&self, signature: &Signature) -> String {
        let params: Vec<&str> = signature
            .params
            .iter()
            .map(|param| param.name.as_str())
            .collect();
        match (&self.home, self.kind) {
            (Home::Type(kind), Kind::Index) => format!("{kind}[{}]", params.join(", ")),
            (_, Kind::Property) => self.title(),
            _ => format!("{}({})", self.title(), params.join(", ")),
        }
    }

    /// How one signature is called, with types: `start(engine: EngineSpec) -> Engine`.
    pub fn declaration(&self, signature: &Signature) -> String {
        let param = |param: &Param| match &param.kind {
            Some(kind) => format!("{}: {kind}", param.name),
            None => param.name.clone(),
        };
        let params: Vec<String> = signature.params.iter().map(param).collect();
        let call = match (&self.home, self.kind) {
            (Home::Type(kind), Kind::Index) => format!("{kind}[{}]", params.join(", ")),
            (_, Kind::Property) => self.title(),
            _ => format!("{}({})", self.title(), params.join(", ")),
        };
        match signature.returns.as_deref() {
            None | Some("()") => call,
            Some(returns) => format!("{call} -> {returns}"),
        }
    }

    /// The signature that is explained.
    pub fn main(&self) -> &Signature {
        &self.signatures[0]
    }

    /// The first sentence of what it does.
    pub fn summary(&self) -> &str {
        &self.main().doc.summary
    }
}
