//! The run, as natives see it: its engines, parameters and folders.

use super::diagnostic::ScriptError;
use super::parameters::Parameters;
use crate::core::{ExperimentPlan, ExperimentResult, RunError, Runner, TestRun};
use crate::driver::scratch::Scratch;
use rhai::{Dynamic, NativeCallContext};
use std::cell::{Ref, RefCell};
use std::fs::File;
use std::future::Future;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// The run and the current test, as scripts see them. Clones share both.
#[derive(Clone)]
pub(crate) struct Host {
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

/// The settings of a run that only scripts use.
pub(crate) struct HostSettings {
    /// The values from the command line.
    pub(crate) parameters: Parameters,
    /// The folders.
    pub(crate) folders: Folders,
    /// The engine that `std/engine` starts.
    pub(crate) engine: EngineChoice,
}

/// The engine that `std/engine` starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineChoice {
    /// The kind, as in `--engine`.
    pub(crate) kind: String,
    /// The program to start if the kind has no program of its own name.
    pub(crate) program: PathBuf,
}

/// The folders of a run.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    /// The folder of the script.
    pub(crate) script: PathBuf,
    /// The folder of the results.
    pub(crate) outputs: PathBuf,
    /// The root of scratch folders. Runs share it, so that a later run can remove what a killed run
    /// left there.
    pub(crate) scratch: PathBuf,
}

impl Host {
    /// Creates the host of a run.
    pub(crate) fn new(
        runtime: tokio::runtime::Handle,
        runner: Arc<Runner>,
        settings: HostSettings,
    ) -> Self {
        let scratch = Scratch::new(settings.folders.scratch, &runner.client.run_id);
        let run = Rc::new(RunHost {
            runtime,
            runner,
            parameters: settings.parameters,
            script_dir: RefCell::new(settings.folders.script),
            output_dir: settings.folders.outputs,
            scratch,
            engine: settings.engine,
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

    /// Returns the current test.
    pub(crate) fn test(&self) -> Ref<'_, TestRun> {
        self.test.borrow()
    }

    /// Adds a check to the current test and reports it.
    pub(crate) fn check(&self, passed: bool, what: String) {
        let mut test = self.test.borrow_mut();
        self.runner().client.check(&mut test, passed, what);
    }

    /// Runs an experiment of the current test to completion.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub(crate) fn run(&self, plan: ExperimentPlan<'_>) -> Result<ExperimentResult, RunError> {
        let mut test = self.test.borrow_mut();
        self.wait(self.runner().run(&mut test, plan))
    }

    /// Returns the host of the script that makes this call.
    ///
    /// # Panics
    /// If the engine was not created by `interpreter`.
    pub(crate) fn of(context: &NativeCallContext<'_>) -> Self {
        let tag = context.tag().and_then(|tag| tag.clone().try_cast::<Self>());
        tag.expect("every engine that runs scripts carries its host as its tag")
    }

    /// Returns the run.
    pub(crate) fn runner(&self) -> &Arc<Runner> {
        &self.run.runner
    }

    /// Returns the parameters.
    pub(crate) fn parameters(&self) -> &Parameters {
        &self.run.parameters
    }

    /// Returns the engine that `std/engine` starts.
    pub(crate) fn engine(&self) -> &EngineChoice {
        &self.run.engine
    }

    /// Writes a text to the output folder and returns its absolute path. If the file exists with
    /// another text, which an engine or an earlier result may need, `a.yaml` becomes `a-2.yaml`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&self, name: &str, text: &str) -> std::io::Result<PathBuf> {
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
        unreachable!("the numbers of names do not end")
    }

    /// Returns the scratch folders of the current test.
    pub(crate) fn scratch(&self) -> &Scratch {
        &self.run.scratch
    }

    /// Returns the value of a parameter.
    ///
    /// # Errors
    /// If the given value has another type than `default`.
    pub(crate) fn parameter(&self, name: &str, default: Dynamic) -> Result<Dynamic, ScriptError> {
        self.run.parameters.get(name, default)
    }

    /// Returns the absolute form of a path that is relative to the folder of the script.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        let joined = self.run.script_dir.borrow().join(path);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    /// Changes the folder that paths of scripts are relative to.
    pub(crate) fn set_script_dir(&self, folder: &Path) {
        *self.run.script_dir.borrow_mut() = folder.into();
    }

    /// Runs `work` to completion on the run's runtime.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.run.runtime.block_on(work)
    }
}

fn has_text(path: &Path, text: &str) -> bool {
    path.is_file() && std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes())
}
