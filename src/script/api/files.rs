//! `core/files`: paths and small files of a run.

use crate::driver::files::read_text;
use crate::driver::secrets;
use crate::script::fault::Fault;
use crate::script::host::Host;
use crate::script::suggest::neighbour;
use rhai::plugin::*;
use rhai::{Dynamic, EvalAltResult, Map, Module, NativeCallContext};
use std::path::Path;

/// The module `core/files`.
pub fn module() -> Module {
    exported_module!(natives)
}

const YAML: &str =
    "a configuration is a file of lines such as `chunk_size: 256`, or a map in the script";

/// Paths and small files of a run.
#[export_module]
mod natives {
    /// The absolute path of a file that must exist, given relative to the script's folder.
    #[rhai_fn(return_raw)]
    pub fn existing(context: NativeCallContext, path: &str) -> Result<String, Box<EvalAltResult>> {
        let found = Host::of(&context).path(path);
        if found.exists() {
            return utf8(&found);
        }
        let near = neighbour(&found)
            .and_then(|near| Some(near.file_name()?.to_string_lossy().into_owned()));
        let near = near.map_or_else(String::new, |near| format!("did you mean `{near}` there? "));
        Err(Fault::new(format!("there is no file `{path}`"))
            .at_word(path)
            .help(format!(
                "{near}paths are relative to the script: this one is {}",
                found.display()
            ))
            .into())
    }

    /// What a YAML file says, given as an absolute path.
    #[rhai_fn(return_raw)]
    pub fn read_yaml(path: &str) -> Result<Map, Box<EvalAltResult>> {
        let text = read_text(Path::new(path));
        let text = text.map_err(|e| {
            Fault::new(format!("cannot read {path}: {e}"))
                .at_word(path)
                .help(YAML)
        })?;
        let read =
            serde_saphyr::from_str::<Dynamic>(&text).map_err(|e| e.without_snippet().to_string());
        match read.map(|value| (value.is_unit(), value.try_cast::<Map>())) {
            Ok((true, _)) => Ok(Map::new()),
            Ok((_, Some(map))) => Ok(map),
            Ok((_, None)) => Err(Fault::new(format!("{path} is not a YAML mapping"))
                .help(YAML)
                .into()),
            Err(problem) => Err(Fault::new(format!("{path} is not YAML: {problem}"))
                .help(YAML)
                .into()),
        }
    }

    /// Writes `settings` as JSON, which is YAML too, to the run's output folder; returns its path.
    #[rhai_fn(return_raw)]
    pub fn write_yaml(
        context: NativeCallContext,
        name: &str,
        settings: Map,
    ) -> Result<String, Box<EvalAltResult>> {
        let json = serde_json::to_string_pretty(&Dynamic::from_map(settings))
            .map_err(|e| Fault::new(format!("not YAML: {e}")).help(YAML))?;
        write(context, name, &json)
    }

    /// Writes a text to the run's output folder; returns its path.
    #[rhai_fn(return_raw)]
    pub fn write(
        context: NativeCallContext,
        name: &str,
        text: &str,
    ) -> Result<String, Box<EvalAltResult>> {
        let is_plain = |c: char| c != '/' && !c.is_control();
        if name.starts_with('.') || !name.chars().all(is_plain) {
            return Err(Fault::new(format!("`{name}` is not the name of a file in the output folder"))
                .help("the name of an engine is part of the names of its files: it cannot have `/`, line ends or a leading dot here")
                .into());
        }
        let path = Host::of(&context).write(name, &format!("{text}\n"));
        let path = path.map_err(|e| {
            Fault::new(format!("cannot write `{name}` to the output folder: {e}"))
                .help("choose another with `-o DIR`")
        })?;
        secrets::register_urls(text);
        utf8(&path)
    }
}

/// A path as a script's text, in a form with which an engine finds it.
pub fn utf8(path: &Path) -> Result<String, Box<EvalAltResult>> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Fault::new(format!(
            "the path {} is not UTF-8, which texts of scripts are",
            path.display()
        ))
        .help("choose another folder for results with `-o DIR`, and for scripts by another name")
        .into()
    })
}
