//! A function, method or property of scripts.

use super::doc::Doc;
use crate::script::option_key::OptionKey;
use std::fmt;

/// The origin of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Home {
    /// It needs no import.
    Global,
    /// It is a member of a type.
    Type(String),
    /// It is in a module, such as `std/load`.
    Module(String),
}

impl Home {
    /// The prefix of its name: `load` of `std/load`.
    pub(crate) fn alias(&self) -> &str {
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

/// The syntax of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ItemKind {
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
pub(crate) struct ItemParam {
    /// Its name.
    pub(crate) name: String,
    /// The type, which only natives have.
    pub(crate) kind: Option<String>,
}

/// A form of a call.
#[derive(Clone, Debug)]
pub(crate) struct ItemSignature {
    /// The parameters, without the receiver of a method.
    pub(crate) params: Vec<ItemParam>,
    /// The type that a native returns.
    pub(crate) returns: Option<String>,
    /// The doc comment.
    pub(crate) doc: Doc,
}

/// A function, method or property, with all its forms.
#[derive(Clone)]
pub(crate) struct Item {
    /// The origin.
    pub(crate) home: Home,
    /// Its name.
    pub(crate) name: String,
    /// The syntax.
    pub(crate) kind: ItemKind,
    /// The forms of a call, the documented form first.
    pub(crate) signatures: Vec<ItemSignature>,
    /// The options.
    pub(crate) options: Vec<OptionKey>,
}

impl Item {
    /// The full name: `run`, `load::dummy`, `Engine.close`.
    pub(crate) fn title(&self) -> String {
        match &self.home {
            Home::Global => self.name.clone(),
            Home::Type(kind) if self.kind == ItemKind::Index => format!("{kind}[…]"),
            Home::Type(kind) => format!("{kind}.{}", self.name),
            Home::Module(_) => format!("{}::{}", self.home.alias(), self.name),
        }
    }

    /// A call with the names of the parameters: `load::dummy(options)`.
    pub(crate) fn usage(&self, signature: &ItemSignature) -> String {
        let params: Vec<&str> = signature
            .params
            .iter()
            .map(|param| param.name.as_str())
            .collect();
        match (&self.home, self.kind) {
            (Home::Type(kind), ItemKind::Index) => format!("{kind}[{}]", params.join(", ")),
            (_, ItemKind::Property) => self.title(),
            _ => format!("{}({})", self.title(), params.join(", ")),
        }
    }

    /// A call with types: `start(engine: EngineSpec) -> Engine`.
    pub(crate) fn declaration(&self, signature: &ItemSignature) -> String {
        let param = |param: &ItemParam| match &param.kind {
            Some(kind) => format!("{}: {kind}", param.name),
            None => param.name.clone(),
        };
        let params: Vec<String> = signature.params.iter().map(param).collect();
        let call = match (&self.home, self.kind) {
            (Home::Type(kind), ItemKind::Index) => format!("{kind}[{}]", params.join(", ")),
            (_, ItemKind::Property) => self.title(),
            _ => format!("{}({})", self.title(), params.join(", ")),
        };
        match signature.returns.as_deref() {
            None | Some("()") => call,
            Some(returns) => format!("{call} -> {returns}"),
        }
    }

    /// The options that the documentation of the function lists: not those that its module
    /// explains, or those of other functions.
    pub(crate) fn own_options(&self) -> Vec<&OptionKey> {
        if self.borrows() {
            return Vec::new();
        }
        self.options
            .iter()
            .filter(|option| !option.is_shared)
            .collect()
    }

    /// The options that its module explains.
    pub(crate) fn shared_options(&self) -> Vec<&OptionKey> {
        if self.borrows() {
            return Vec::new();
        }
        self.options
            .iter()
            .filter(|option| option.is_shared)
            .collect()
    }

    /// Returns true if its documentation refers to the options of other functions.
    fn borrows(&self) -> bool {
        self.signatures
            .iter()
            .any(|signature| !signature.doc.borrows().is_empty())
    }

    /// The signatures with documentation.
    pub(crate) fn explained(&self) -> impl Iterator<Item = &ItemSignature> {
        self.signatures
            .iter()
            .filter(|signature| !signature.doc.text.is_empty())
    }

    /// The documented form.
    pub(crate) fn main(&self) -> &ItemSignature {
        &self.signatures[0]
    }

    /// The first sentence of the documentation.
    pub(crate) fn summary(&self) -> &str {
        &self.main().doc.summary
    }
}
