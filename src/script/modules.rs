//! Where imports come from: `core/…` natives, `std/…` embedded scripts, files beside the script.

use super::api;
use super::fault::{Fault, is_library};
use super::source::shadowing;
use super::suggest::nearest;
use crate::driver::files;
use rhai::{Dynamic, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

type SharedModule = Shared<Module>;

/// The embedded library: its import paths and texts.
pub const STD: [(&str, &str); 22] = [
    ("std/check", include_str!("../../stdlib/check.rhai")),
    ("std/command", include_str!("../../stdlib/command.rhai")),
    ("std/container", include_str!("../../stdlib/container.rhai")),
    ("std/doctor", include_str!("../../stdlib/doctor.rhai")),
    ("std/engine", include_str!("../../stdlib/engine.rhai")),
    (
        "std/environment",
        include_str!("../../stdlib/environment.rhai"),
    ),
    ("std/gpus", include_str!("../../stdlib/gpus.rhai")),
    ("std/helper", include_str!("../../stdlib/helper.rhai")),
    ("std/llamacpp", include_str!("../../stdlib/llamacpp.rhai")),
    ("std/lmcache", include_str!("../../stdlib/lmcache.rhai")),
    ("std/load", include_str!("../../stdlib/load.rhai")),
    ("std/models", include_str!("../../stdlib/models.rhai")),
    ("std/openai", include_str!("../../stdlib/openai.rhai")),
    ("std/plot", include_str!("../../stdlib/plot.rhai")),
    ("std/redis", include_str!("../../stdlib/redis.rhai")),
    ("std/results", include_str!("../../stdlib/results.rhai")),
    ("std/sglang", include_str!("../../stdlib/sglang.rhai")),
    ("std/sim", include_str!("../../stdlib/sim.rhai")),
    ("std/tgi", include_str!("../../stdlib/tgi.rhai")),
    (
        "std/transformers",
        include_str!("../../stdlib/transformers.rhai"),
    ),
    ("std/trtllm", include_str!("../../stdlib/trtllm.rhai")),
    ("std/vllm", include_str!("../../stdlib/vllm.rhai")),
];

/// The kinds of engine that `--engine` can choose: the modules that make one from options.
pub fn engine_kinds() -> Vec<&'static str> {
    let makes_engines = |text: &str| text.contains("\nfn engine(given)");
    STD.iter()
        .filter(|(_, text)| makes_engines(text))
        .filter_map(|(name, _)| name.strip_prefix("std/"))
        .collect()
}

/// Resolves imports relative to one folder at a time. Clones share what they have loaded.
#[derive(Clone)]
pub struct Modules(Rc<Inner>);

struct Inner {
    base: RefCell<PathBuf>,
    loaded: RefCell<BTreeMap<String, SharedModule>>,
    loading: RefCell<Vec<String>>,
}

impl Modules {
    /// Imports relative to `base`.
    pub fn new(base: &Path) -> Self {
        let (loaded, loading) = Default::default();
        Self(Rc::new(Inner {
            base: RefCell::new(base.into()),
            loaded,
            loading,
        }))
    }

    /// From now on relative to `base`. Files are read anew.
    pub fn stand_in(&self, base: &Path) {
        *self.0.base.borrow_mut() = base.into();
        self.0
            .loaded
            .borrow_mut()
            .retain(|path, _| is_library(path));
    }

    /// The functions of every loaded module, as `last part of its path::function`.
    pub fn function_names(&self) -> Vec<String> {
        let loaded = self.0.loaded.borrow();
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let names = loaded.iter().flat_map(|(path, module)| {
            let functions = module.gen_fn_signatures_with_mapper(Into::into);
            functions
                .map(move |signature| format!("{}::{}", last(path), name_of(&signature)))
                .collect::<Vec<_>>()
        });
        names.collect()
    }

    /// The text of a module, by what errors call it.
    pub fn source(path: &str) -> Option<String> {
        let embedded = STD
            .iter()
            .find(|(name, _)| *name == path)
            .map(|(_, text)| (*text).to_owned());
        embedded.or_else(|| files::read_text(Path::new(path)).ok())
    }

    /// What errors call a module: its import path, or the file that it is.
    pub fn title(&self, path: &str) -> String {
        if is_library(path) {
            path.to_owned()
        } else {
            self.file(path).display().to_string()
        }
    }

    fn file(&self, path: &str) -> PathBuf {
        self.0.base.borrow().join(path).with_extension("rhai")
    }

    fn load(&self, engine: &rhai::Engine, path: &str) -> Result<SharedModule, Box<EvalAltResult>> {
        if let Some(native) = api::native(path) {
            return Ok(native.into());
        }
        let title = self.title(path);
        let text = Self::source(&title).ok_or_else(|| self.not_found(path))?;
        let mut ast = engine
            .compile(&text)
            .map_err(|e| EvalAltResult::ErrorParsing(*e.0, e.1))?;
        if let Some((position, fault)) = shadowing(&ast, &text) {
            return Err(EvalAltResult::ErrorRuntime(Dynamic::from(fault), position).into());
        }
        ast.set_source(title);
        Ok(Module::eval_ast_as_new(Scope::new(), &ast, engine)?.into())
    }

    /// Why `path` cannot be imported, if that is because there is nothing.
    pub fn missing(&self, path: &str) -> Option<Fault> {
        let is_there = api::native(path).is_some() || Self::source(&self.title(path)).is_some();
        (!is_there).then(|| self.not_found(path))
    }

    fn not_found(&self, path: &str) -> Fault {
        let known = STD.iter().map(|(name, _)| *name);
        let fault = Fault::new(format!("there is no module `{path}`")).at_word(path);
        match nearest(path, known) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault.help(format!(
                "a module of your own would be the file {}",
                self.file(path).display()
            )),
        }
    }
}

fn name_of(signature: &str) -> &str {
    signature.split(['(', ' ']).next().unwrap_or_default()
}

impl ModuleResolver for Modules {
    fn resolve(
        &self,
        engine: &rhai::Engine,
        _source: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<SharedModule, Box<EvalAltResult>> {
        if let Some(module) = self.0.loaded.borrow().get(path) {
            return Ok(module.clone());
        }
        // A cycle would overflow the native stack.
        if self
            .0
            .loading
            .borrow()
            .iter()
            .any(|loading| loading == path)
        {
            let cycle = self.0.loading.borrow().join("` → `");
            return Err(
                Fault::new(format!("modules import each other: `{cycle}` → `{path}`"))
                    .help("move what both need to a third")
                    .into(),
            );
        }
        self.0.loading.borrow_mut().push(path.into());
        let loaded = self.load(engine, path);
        self.0.loading.borrow_mut().pop();
        let module = loaded.map_err(|error| in_module(&self.title(path), error, position))?;
        self.0
            .loaded
            .borrow_mut()
            .insert(path.into(), module.clone());
        Ok(module)
    }
}

/// An error inside the module names it; one about the module stands at the import.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "Rhai's errors travel in boxes"
)]
fn in_module(path: &str, error: Box<EvalAltResult>, position: Position) -> Box<EvalAltResult> {
    match *error {
        EvalAltResult::ErrorRuntime(fault, Position::NONE) => {
            EvalAltResult::ErrorRuntime(fault, position).into()
        }
        EvalAltResult::ErrorTerminated(..) => error,
        inner => EvalAltResult::ErrorInModule(path.into(), inner.into(), position).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder")
            .map(|entry| {
                entry
                    .expect("a file")
                    .path()
                    .file_stem()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned()
            })
            .map(|name| format!("std/{name}"))
            .collect();
        files.sort();
        assert_eq!(files, STD.map(|(name, _)| name));
    }
}
