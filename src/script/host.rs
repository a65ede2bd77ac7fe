//! What natives find when a script calls them: the run, its parameters, its folders.

use super::fault::Fault;
use super::suggest::nearest;
use crate::core::{ExperimentPlan, ExperimentResult, RunError, Runner, TestRun};
use crate::driver::scratch::Scratch;
use rhai::{Dynamic, NativeCallContext};
use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// The run and the current test as scripts see them. Clones share both.
#[derive(Clone)]
pub struct Host {
    run: Rc<RunHost>,
    test: Rc<RefCell<TestRun>>,
}

struct RunHost {
    runtime: tokio::runtime::Handle,
    runner: Arc<Runner>,
    parameters: Parameters,
    script_dir: RefCell<PathBuf>,
    output_dir: PathBuf,
    scratch: Scratch,
    engine: EngineChoice,
}

/// Which engine `std/engine` starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineChoice {
    /// Its kind, as `--engine` names it.
    pub kind: String,
    /// The program to start, where it is not found by its own name.
    pub program: PathBuf,
}

/// The folders of a run.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The script's own.
    pub script: PathBuf,
    /// The results'.
    pub outputs: PathBuf,
    /// The root of scratch folders, the same for every run in this place: a later run removes what a
    /// killed one left.
    pub scratch: PathBuf,
}

/// The values that the command line gives to scripts.
#[derive(Debug, Default)]
pub struct Parameters {
    given: BTreeMap<String, String>,
    asked: RefCell<BTreeMap<String, String>>,
}

impl Parameters {
    /// Parameters by name.
    pub fn new(given: BTreeMap<String, String>) -> Self {
        Self {
            given,
            asked: RefCell::default(),
        }
    }

    /// The value of `name`: what was given, read as the kind of value that `default` is.
    fn get(&self, name: &str, default: Dynamic) -> Result<Dynamic, Fault> {
        self.asked
            .borrow_mut()
            .insert(name.into(), default.to_string());
        let Some(text) = self.given.get(name) else {
            return Ok(default);
        };
        let value = parse(text, &default);
        if value
            .as_ref()
            .and_then(|value| value.as_float().ok())
            .is_some_and(|number| !number.is_finite())
        {
            return Err(Fault::new(format!(
                "parameter `{name}` cannot be `{text}`: expected a finite number"
            ))
            .help(format!("give a finite number with `-P {name}=…`")));
        }
        value.ok_or_else(|| {
            Fault::new(format!(
                "parameter `{name}` cannot be `{text}`: its default is {default}"
            ))
            .help(format!("give a value of the same kind with `-P {name}=…`"))
        })
    }

    /// The given parameters that no script asked for, each with a warning.
    pub fn unused(&self) -> Vec<(String, String)> {
        let asked = self.asked.borrow();
        let unused = self.given.keys().filter(|name| {
            !asked.contains_key(*name) && !["model", "seed"].contains(&name.as_str())
        });
        let hint = |name: &str| match nearest(name, asked.keys().map(String::as_str)) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => String::new(),
        };
        let warning =
            |name: &str| format!("no test asked for the parameter `{name}`{}", hint(name));
        unused.map(|name| (name.clone(), warning(name))).collect()
    }
}

/// Numbers may be whole or not, whatever the default is.
fn parse(text: &str, default: &Dynamic) -> Option<Dynamic> {
    let number = || {
        text.parse::<i64>()
            .map(Dynamic::from)
            .or_else(|_| text.parse::<f64>().map(Dynamic::from))
            .ok()
    };
    match default.type_name() {
        "i64" | "f64" => number(),
        "bool" => text.parse::<bool>().ok().map(Dynamic::from),
        "()" => number()
            .or_else(|| text.parse::<bool>().ok().map(Dynamic::from))
            .or_else(|| Some(text.into())),
        _ => default.is_string().then(|| text.into()),
    }
}

impl Host {
    /// The run on which scripts work.
    pub fn new(
        runtime: tokio::runtime::Handle,
        runner: Arc<Runner>,
        parameters: Parameters,
        folders: Folders,
        engine: EngineChoice,
    ) -> Self {
        let scratch = Scratch::new(folders.scratch, &runner.run_id);
        let (script_dir, output_dir) = (RefCell::new(folders.script), folders.outputs);
        let run = Rc::new(RunHost {
            runtime,
            runner,
            parameters,
            script_dir,
            output_dir,
            scratch,
            engine,
        });
        Self {
            run,
            test: Rc::default(),
        }
    }

    /// Returns the host of a new test of the same run.
    #[must_use]
    pub(crate) fn for_new_test(&self) -> Self {
        Self {
            run: self.run.clone(),
            test: Rc::default(),
        }
    }

    /// The current test.
    pub(crate) fn test(&self) -> Ref<'_, TestRun> {
        self.test.borrow()
    }

    /// Adds a check to the current test and reports it.
    pub(crate) fn check(&self, passed: bool, what: String) {
        let mut test = self.test.borrow_mut();
        self.runner().check(&mut test, passed, what);
    }

    /// Runs an experiment of the current test to its end.
    ///
    /// # Errors
    /// Fails as [`Runner::run`] does.
    pub(crate) fn run(&self, plan: ExperimentPlan<'_>) -> Result<ExperimentResult, RunError> {
        let mut test = self.test.borrow_mut();
        self.wait(self.runner().run(&mut test, plan))
    }

    /// The host of the script that makes this call.
    ///
    /// # Panics
    /// On an engine that was not made by `interpreter`.
    pub fn of(context: &NativeCallContext<'_>) -> Self {
        let tag = context.tag().and_then(|tag| tag.clone().try_cast::<Self>());
        tag.expect("every engine that runs scripts carries its host as its tag")
    }

    /// The run.
    pub fn runner(&self) -> &Arc<Runner> {
        &self.run.runner
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.run.parameters
    }

    /// Which engine `std/engine` starts.
    pub fn engine(&self) -> &EngineChoice {
        &self.run.engine
    }

    /// Writes a text to the output folder and returns its absolute path. If a file of that name has
    /// another text, `a.yaml` becomes `a-2.yaml`: an engine, or the results of an earlier run, may need
    /// the first.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, name: &str, text: &str) -> std::io::Result<PathBuf> {
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "txt"));
        let numbered = (2..).map(|n| format!("{stem}-{n}.{extension}"));
        for name in std::iter::once(name.to_owned()).chain(numbered) {
            let path = std::path::absolute(self.run.output_dir.join(name))?;
            match File::create_new(&path) {
                Ok(mut file) => return file.write_all(text.as_bytes()).map(|()| path),
                Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
                Err(_) if has_text(&path, text) => return Ok(path),
                Err(_) => {}
            }
        }
        unreachable!("one of endlessly many names is free")
    }

    /// Folders of the current test.
    pub fn scratch(&self) -> &Scratch {
        &self.run.scratch
    }

    /// A parameter's value.
    ///
    /// # Errors
    /// When what was given is of another kind than `default`.
    pub fn parameter(&self, name: &str, default: Dynamic) -> Result<Dynamic, Fault> {
        self.run.parameters.get(name, default)
    }

    /// A path as scripts write it: relative to the script's own folder.
    pub fn path(&self, path: &str) -> PathBuf {
        let joined = self.run.script_dir.borrow().join(path);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    /// From now on paths are relative to `folder`.
    pub fn stand_in(&self, folder: &Path) {
        *self.run.script_dir.borrow_mut() = folder.into();
    }

    /// Runs `work` to its end on the run's runtime.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.run.runtime.block_on(work)
    }
}

fn has_text(path: &Path, text: &str) -> bool {
    path.is_file() && std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(given: &[(&str, &str)]) -> Parameters {
        Parameters::new(
            given
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        )
    }

    #[test]
    fn a_value_is_read_as_its_default_is() {
        let parameters = parameters(&[("gap_s", "0.2"), ("n", "3"), ("on", "true"), ("name", "7")]);
        let get = |name, default| parameters.get(name, default).expect("a value");
        assert_eq!(get("gap_s", 8.into()).as_float(), Ok(0.2));
        assert_eq!(get("n", 8.into()).as_int(), Ok(3));
        assert_eq!(get("on", false.into()).as_bool(), Ok(true));
        assert_eq!(get("name", "x".into()).into_string(), Ok("7".to_owned()));
        assert_eq!(get("absent", 5.into()).as_int(), Ok(5));
    }

    #[test]
    fn a_value_of_another_kind_is_refused() {
        let error = parameters(&[("n", "many")])
            .get("n", 8.into())
            .expect_err("not a number");
        assert_eq!(
            error.message,
            "parameter `n` cannot be `many`: its default is 8"
        );
        assert_eq!(
            error.help.as_deref(),
            Some("give a value of the same kind with `-P n=…`")
        );
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused() {
        for (text, default) in [
            ("nan", 8.into()),
            ("inf", 0.5.into()),
            ("-inf", Dynamic::UNIT),
            ("1e999", 8.into()),
        ] {
            let error = parameters(&[("gap_s", text)])
                .get("gap_s", default)
                .expect_err(text);
            let message = format!("parameter `gap_s` cannot be `{text}`: expected a finite number");
            assert_eq!(error.message, message);
            assert_eq!(
                error.help.as_deref(),
                Some("give a finite number with `-P gap_s=…`")
            );
        }
        let name = parameters(&[("name", "inf")])
            .get("name", "x".into())
            .expect("a text");
        assert_eq!(name.into_string(), Ok("inf".to_owned()));
    }

    #[test]
    fn what_nobody_asked_for_is_said() {
        let parameters = parameters(&[("gap", "1")]);
        let _ = parameters.get("gap_s", 8.into());
        let warning = "no test asked for the parameter `gap`; did you mean `gap_s`?";
        assert_eq!(
            parameters.unused(),
            [("gap".to_owned(), warning.to_owned())]
        );
    }
}
