//! `core/files`: paths, and the small files of a run.

use crate::driver::files::read_text;
use crate::driver::secrets;
use crate::script::diagnostic::ScriptError;
use crate::script::host::Host;
use crate::script::suggest::neighbour;
use rhai::plugin::*;
use rhai::{Dynamic, EvalAltResult, Map, Module, NativeCallContext};
use std::path::Path;

/// Returns the module `core/files`.
pub(crate) fn module() -> Module {
    exported_module!(natives)
}

const YAML_HELP: &str =
    "write a configuration as YAML, such as `chunk_size: 256`, or as a map in the script";

/// Paths, and the small files of a run.
#[export_module]
mod natives {
    /// Returns the absolute path of an existing file. `path` is relative to the script's folder.
    #[rhai_fn(return_raw)]
    pub fn existing(context: NativeCallContext, path: &str) -> Result<String, Box<EvalAltResult>> {
        let found = Host::of(&context).path(path);
        if found.exists() {
            return utf8(&found);
        }
        let near = neighbour(&found);
        let near = near.as_deref().and_then(Path::file_name);
        let near = near.map_or_else(String::new, |near| {
            format!("did you mean `{}`? ", near.to_string_lossy())
        });
        let shown = found.display();
        Err(ScriptError::new(format!("missing file `{path}`"))
            .at_word(path)
            .help(format!(
                "{near}paths are relative to the script; this one is {shown}"
            ))
            .into())
    }

    /// Reads a YAML file. `path` is absolute.
    #[rhai_fn(return_raw)]
    pub fn read_yaml(path: &str) -> Result<Map, Box<EvalAltResult>> {
        let text = read_text(Path::new(path));
        let text = text.map_err(|e| {
            ScriptError::new(format!("cannot read {path}: {e}"))
                .at_word(path)
                .help(YAML_HELP)
        })?;
        let read =
            serde_saphyr::from_str::<Dynamic>(&text).map_err(|e| e.without_snippet().to_string());
        match read.map(|value| (value.is_unit(), value.try_cast::<Map>())) {
            Ok((true, _)) => Ok(Map::new()),
            Ok((_, Some(map))) => Ok(map),
            Ok((_, None)) => Err(ScriptError::new(format!("{path} is not a YAML mapping"))
                .help(YAML_HELP)
                .into()),
            Err(problem) => Err(
                ScriptError::new(format!("{path} is not valid YAML: {problem}"))
                    .help(YAML_HELP)
                    .into(),
            ),
        }
    }

    /// Writes `settings` as JSON, which is valid YAML, to the output folder. Returns the path.
    #[rhai_fn(return_raw)]
    pub fn write_yaml(
        context: NativeCallContext,
        name: &str,
        settings: Map,
    ) -> Result<String, Box<EvalAltResult>> {
        let json = serde_json::to_string_pretty(&Dynamic::from_map(settings))
            .map_err(|e| ScriptError::new(format!("cannot write YAML: {e}")).help(YAML_HELP))?;
        write(context, name, &json)
    }

    /// Writes a text to the output folder. Returns the path.
    #[rhai_fn(return_raw)]
    pub fn write(
        context: NativeCallContext,
        name: &str,
        text: &str,
    ) -> Result<String, Box<EvalAltResult>> {
        if name.starts_with('.') || name.contains(|c: char| c == '/' || c.is_control()) {
            let help = "the name of an engine is part of file names: do not use `/`, control \
                        characters or a leading dot";
            return Err(ScriptError::new(format!("invalid file name `{name}`"))
                .help(help)
                .into());
        }
        let path = Host::of(&context).write(name, &format!("{text}\n"));
        let path = path.map_err(|e| {
            ScriptError::new(format!("cannot write `{name}` to the output folder: {e}"))
                .help("choose another folder with `-o DIR`")
        })?;
        secrets::register_urls(text);
        utf8(&path)
    }
}

/// Returns a path as a string of Rhai.
///
/// # Errors
/// If it is not UTF-8.
pub(crate) fn utf8(path: &Path) -> Result<String, Box<EvalAltResult>> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        ScriptError::new(format!("the path {} is not UTF-8", path.display()))
            .help("rename the folder of the script, or choose another for results with `-o DIR`")
            .into()
    })
}
