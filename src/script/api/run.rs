//! The natives that every script has: `run`, `start`, `scratch`, `param`, `env`, `sleep`.

use super::engine::{Handle, Spec, arm_of, wait};
use super::files::utf8;
use super::helper::Kept;
use super::load::Workload;
use super::seen::{Experiment, Key};
use crate::core::{ExperimentPlan, RunOptions};
use crate::script::diagnostic::{self, ScriptError};
use crate::script::host::Host;
use crate::script::options::read;
use rhai::plugin::*;
use rhai::{Array, Dynamic, EvalAltResult, Map, Module, NativeCallContext};
use std::time::Duration;

/// Returns the module `core/run`, which is also global.
pub fn module() -> Module {
    exported_module!(natives)
}

fn experiment(
    host: &Host,
    workload: &Workload,
    engines: &Array,
    options: RunOptions,
) -> Result<Experiment, Box<EvalAltResult>> {
    if engines.is_empty() {
        return Err(ScriptError::new("`run` needs at least one engine")
            .help("for example `[sim::engine()]`")
            .into());
    }
    let arms = engines.iter().map(arm_of).collect::<Result<Vec<_>, _>>()?;
    let keys = engines.iter().filter_map(Key::of).collect();
    let plan = ExperimentPlan {
        config: workload,
        arms,
        options,
    };
    let seen = host.run(plan).map_err(diagnostic::raise)?;
    Ok(Experiment { seen, keys })
}

/// The natives that every script has.
#[export_module]
mod natives {
    /// Runs an experiment: sends `workload` to all `engines` at the same time. Returns the result,
    /// which is indexed by engine.
    ///
    /// An engine from `vllm::engine` or a similar function is started for the experiment and closed
    /// after it; an engine from `start` keeps running.
    ///
    /// ```rhai
    /// let plain = sim::engine();
    /// let seen = run(load::dummy(#{ requests: 2, gap_s: 0.1 }), [plain]);
    /// print(seen[plain].ttft);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn run(
        context: NativeCallContext,
        workload: Workload,
        engines: Array,
    ) -> Result<Experiment, Box<EvalAltResult>> {
        experiment(
            &Host::of(&context),
            &workload,
            &engines,
            RunOptions::default(),
        )
    }

    /// Runs an experiment with options.
    ///
    /// ```rhai
    /// let work = load::dummy(#{ requests: 2, gap_s: 0.1 });
    /// let seen = run(work, [plain], #{ warmup: 0, may_fail: true });
    /// ```
    #[rhai_fn(name = "run", return_raw)]
    pub fn run_with(
        context: NativeCallContext,
        workload: Workload,
        engines: Array,
        options: Map,
    ) -> Result<Experiment, Box<EvalAltResult>> {
        let options = read::<RunOptions>("run", &options)?;
        experiment(&Host::of(&context), &workload, &engines, options)
    }

    /// Starts an engine and returns without waiting until it is ready. Only if another engine is
    /// starting on the same GPU, waits until that one is ready. The engine runs until it is closed
    /// or the test ends.
    ///
    /// ```rhai
    /// let engine = start(sim::engine());
    /// engine.wait_until_ready(60);
    /// engine.close();
    /// ```
    #[rhai_fn(return_raw)]
    pub fn start(context: NativeCallContext, engine: Spec) -> Result<Handle, Box<EvalAltResult>> {
        let host = Host::of(&context);
        let started = wait(
            &host,
            host.runner()
                .fleet
                .start_for_script(engine.as_ref().clone()),
        )?;
        Ok(Handle::new(started.map_err(ScriptError::from)?))
    }

    /// Starts a helper, a map from `helper::command` or a similar function, and waits until it is
    /// ready. It runs until it is closed or the test ends. Engines with the same helper use it.
    ///
    /// Options: those of `helper::command`.
    ///
    /// ```rhai
    /// let store = start(redis::server(#{ port: 6400 }));
    /// store.close();
    /// ```
    #[rhai_fn(name = "start", return_raw)]
    pub fn start_helper(
        context: NativeCallContext,
        helper: Map,
    ) -> Result<Kept, Box<EvalAltResult>> {
        Kept::start(&Host::of(&context), &helper)
    }

    /// Creates an empty folder for the test and returns its path. The folder is removed when the
    /// test ends. Calls with the same name return the same folder.
    ///
    /// ```rhai
    /// let disk = "file://" + scratch("disk");
    /// let config = #{ local_cpu: false, local_disk: disk, max_local_disk_size: 20 };
    /// ```
    #[rhai_fn(return_raw)]
    pub fn scratch(context: NativeCallContext, name: &str) -> Result<String, Box<EvalAltResult>> {
        let folder = Host::of(&context).scratch().folder(name);
        let folder = folder.map_err(|e| {
            ScriptError::new(format!("no scratch folder `{name}`: {e}"))
                .at_word(name)
                .help("give a plain name, such as `scratch(\"disk\")`")
        })?;
        utf8(&folder)
    }

    /// Returns the value of `-P name=value`, or `default` if the command line has none.
    ///
    /// ```rhai
    /// let gap_s = param("gap_s", 8);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn param(
        context: NativeCallContext,
        name: &str,
        default: Dynamic,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        Ok(Host::of(&context).parameter(name, default)?)
    }

    /// Returns the value of the environment variable `name`, or `default` if it is not set.
    ///
    /// ```rhai
    /// let home = env("HOME", "/root");
    /// ```
    pub fn env(name: &str, default: &str) -> String {
        std::env::var(name).unwrap_or_else(|_| default.into())
    }

    /// Waits for a number of seconds.
    ///
    /// ```rhai
    /// sleep(0.5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sleep(context: NativeCallContext, seconds: f64) -> Result<(), Box<EvalAltResult>> {
        if !(0.0..=1e9).contains(&seconds) {
            return Err(ScriptError::new(format!("cannot sleep for {seconds} s"))
                .help("give seconds, zero or more")
                .into());
        }
        // A timer must be created on the runtime.
        wait(&Host::of(&context), async {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        })
    }

    /// Waits for a number of seconds.
    #[rhai_fn(name = "sleep", return_raw)]
    pub fn sleep_whole(context: NativeCallContext, seconds: i64) -> Result<(), Box<EvalAltResult>> {
        sleep(context, seconds as f64)
    }
}
