//! Imports: `core/…` natives, `std/…` embedded scripts, and files beside the script.

use super::api;
use super::diagnostic::{ScriptError, is_library};
use super::short_forms::add_short_forms;
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
pub(crate) const STD: [(&str, &str); 22] = [
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

/// Returns the kinds of engine for `--engine`: the modules that make one from options.
pub(crate) fn engine_kinds() -> Vec<&'static str> {
    let (_, selection) = STD
        .iter()
        .find(|(path, _)| *path == "std/engine")
        .expect("std/engine");
    let names = STD.iter().map(|(path, _)| alias(path));
    names
        .filter(|name| selection.contains(&format!(" {name}::engine(options)")))
        .collect()
}

/// Returns the last part of an import path, under which the prompt imports a module.
pub(crate) fn alias(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Resolves imports relative to a folder. Clones share the loaded modules.
#[derive(Clone)]
pub(crate) struct Modules(Rc<LoadedModules>);

struct LoadedModules {
    base: RefCell<PathBuf>,
    loaded: RefCell<BTreeMap<String, SharedModule>>,
    loading: RefCell<Vec<String>>,
}

impl Modules {
    /// Creates a resolver of imports relative to `base`.
    pub(crate) fn new(base: &Path) -> Self {
        Self(Rc::new(LoadedModules {
            base: RefCell::new(base.into()),
            loaded: RefCell::default(),
            loading: RefCell::default(),
        }))
    }

    /// Changes the folder that imports are relative to. Files will be read again.
    pub(crate) fn set_base(&self, base: &Path) {
        *self.0.base.borrow_mut() = base.into();
        self.0
            .loaded
            .borrow_mut()
            .retain(|path, _| is_library(path));
    }

    /// Returns the functions of every loaded module, such as `load::dummy`.
    pub(crate) fn function_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (path, module) in self.0.loaded.borrow().iter() {
            for signature in module.gen_fn_signatures_with_mapper(Into::into) {
                let name = signature.split(['(', ' ']).next().unwrap_or_default();
                names.push(format!("{}::{name}", alias(path)));
            }
        }
        names
    }

    /// Returns the text of the module with a title.
    pub(crate) fn source(title: &str) -> Option<String> {
        match STD.iter().find(|(path, _)| *path == title) {
            Some((_, text)) => Some((*text).to_owned()),
            None => files::read_text(Path::new(title)).ok(),
        }
    }

    /// Returns the name of a module in errors: its import path, or its file.
    pub(crate) fn title(&self, path: &str) -> String {
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
        let mut ast = engine.compile(&text)?;
        if is_library(path) {
            add_short_forms(engine, &text, &mut ast)?;
        }
        if let Some((position, error)) = shadowing(&ast, &text) {
            return Err(EvalAltResult::ErrorRuntime(Dynamic::from(error), position).into());
        }
        ast.set_source(title);
        Ok(Module::eval_ast_as_new(Scope::new(), &ast, engine)?.into())
    }

    /// Returns an error if the module `path` does not exist.
    pub(crate) fn missing(&self, path: &str) -> Option<ScriptError> {
        let exists = api::native(path).is_some() || Self::source(&self.title(path)).is_some();
        (!exists).then(|| self.not_found(path))
    }

    fn not_found(&self, path: &str) -> ScriptError {
        let help = match nearest(path, STD.iter().map(|(path, _)| *path)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the file {} does not exist", self.file(path).display()),
        };
        ScriptError::new(format!("unknown module `{path}`"))
            .at_word(path)
            .help(help)
    }
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
        let loading = self.0.loading.borrow().clone();
        if loading.iter().any(|loading| loading == path) {
            let cycle = loading.join("` → `");
            let error = ScriptError::new(format!("import cycle: `{cycle}` → `{path}`"))
                .help("move shared functions to a third module");
            return Err(error.into());
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

/// Adds the module to an error inside of it. Places an error about the module at the import.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "Rhai's errors travel in boxes"
)]
fn in_module(path: &str, error: Box<EvalAltResult>, position: Position) -> Box<EvalAltResult> {
    match *error {
        EvalAltResult::ErrorRuntime(value, Position::NONE) => {
            EvalAltResult::ErrorRuntime(value, position).into()
        }
        EvalAltResult::ErrorTerminated(..) => error,
        inner => EvalAltResult::ErrorInModule(path.into(), inner.into(), position).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn std_lists_all_files_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).expect("the folder") {
            let path = entry.expect("a file").path();
            let name = path.file_stem().expect("a name").to_string_lossy();
            files.push(format!("std/{name}"));
        }
        files.sort();
        assert_eq!(files, STD.map(|(name, _)| name));
    }
}
