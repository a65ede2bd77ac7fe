//! `core/engine`: specs of engines, and handles of started engines.

use crate::core::{Arm, Engine, EngineSpec, Event};
use crate::driver::container::ContainerSpec;
use crate::script::diagnostic::{self, ScriptError};
use crate::script::host::Host;
use crate::script::option_error::in_words;
use crate::script::options;
use crate::script::suggest::remedy;
use rhai::plugin::*;
use rhai::{Dynamic, EvalAltResult, Map, Module, NativeCallContext};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Returns the module `core/engine`.
pub fn module() -> Module {
    exported_module!(natives)
}

/// Returns the types with their methods.
pub fn types() -> Module {
    exported_module!(methods)
}

/// The spec of an engine in a script. Two specs are equal only if one is a copy of the other.
pub type Spec = Rc<EngineSpec>;

/// A started engine in a script.
#[derive(Clone)]
pub struct Handle(Arc<Engine>);

impl Handle {
    /// Creates the handle of a started engine.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self(engine)
    }

    /// Returns the engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.0
    }

    /// Returns a number that is unique among handles of other engines.
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// Converts an element of the argument `engines` of `run`.
pub fn arm_of(value: &Dynamic) -> Result<Arm, ScriptError> {
    if let Some(spec) = value.clone().try_cast::<Spec>() {
        return Ok(Arm::Spec(Box::new(spec.as_ref().clone())));
    }
    match value.clone().try_cast::<Handle>() {
        Some(handle) if handle.0.service.is_stopped() => Err(ScriptError::new(format!(
            "engine `{}` was closed",
            handle.0.spec.name
        ))
        .help("start it again with `start`")),
        Some(handle) => Ok(Arm::Handle(handle.0)),
        None => Err(
            ScriptError::new(format!("`run` takes engines, not {}", in_words(value)))
                .help("an engine comes from `vllm::engine(…)` and its like, or from `start`"),
        ),
    }
}

/// Runs `work` to completion, or until the run is interrupted.
pub fn wait<T>(host: &Host, work: impl Future<Output = T>) -> Result<T, Box<EvalAltResult>> {
    let cancel = host.runner().client.interrupts.current();
    host.wait(async { cancel.run_until_cancelled(work).await })
        .ok_or_else(diagnostic::interrupted)
}

fn wait_for(
    context: &NativeCallContext<'_>,
    handle: &Handle,
    timeout_s: f64,
) -> Result<bool, Box<EvalAltResult>> {
    if !(0.0..=1e9).contains(&timeout_s) {
        return Err(ScriptError::new(format!("cannot wait for {timeout_s} s"))
            .help("give seconds, zero or more")
            .into());
    }
    let host = Host::of(context);
    let timeout = Duration::from_secs_f64(timeout_s);
    match wait(&host, handle.0.wait_until_ready(timeout))? {
        Ok(_) => Ok(true),
        Err(error) => {
            host.runner().emit(Event::Warned {
                text: error.to_string(),
            });
            Ok(false)
        }
    }
}

/// Specs of engines.
#[export_module]
mod natives {
    /// Creates an engine spec from its fields, such as `name`, `kind`, `model`, and `command` or
    /// `url`. `function` is the caller's name in errors.
    #[rhai_fn(return_raw)]
    pub fn spec(function: &str, given: Map) -> Result<Spec, Box<EvalAltResult>> {
        let spec = options::read::<EngineSpec>(function, &given)?;
        spec.check().map_err(|problem| {
            ScriptError::new(format!("`{function}`: {problem}")).help(remedy(function, &problem))
        })?;
        Ok(Rc::new(spec))
    }

    /// Checks the option `container` and returns it as a map. An image becomes a map with `image`;
    /// `()` remains `()`.
    #[rhai_fn(return_raw)]
    pub fn container(given: Dynamic) -> Result<Dynamic, Box<EvalAltResult>> {
        if given.is_unit() {
            return Ok(given);
        }
        let found = in_words(&given);
        let map = if given.is_string() {
            Map::from([("image".into(), given)]).into()
        } else {
            given
        };
        let map = map.try_cast::<Map>().ok_or_else(|| {
            ScriptError::new(format!(
                "`container` is an image, or a map with `image`, not {found}"
            ))
            .at_word("container")
            .help("for example `container: \"vllm/vllm-openai:latest\"`")
        })?;
        options::read::<ContainerSpec>("container", &map)?;
        Ok(map.into())
    }

    /// Returns the kind of engine that `--engine` chooses.
    pub fn chosen(context: NativeCallContext) -> String {
        Host::of(&context).engine().kind.clone()
    }

    /// Returns the program of the simulator: lmrun itself.
    pub fn simulator(context: NativeCallContext) -> String {
        Host::of(&context).engine().program.display().to_string()
    }
}

/// Methods of specs and handles.
#[export_module]
mod methods {
    /// A description of how to start an engine.
    pub type EngineSpec = super::Spec;
    /// An engine that was started.
    pub type Engine = super::Handle;

    /// The engine's name.
    ///
    /// ```rhai
    /// print(sim::engine(#{ name: "plain" }).name); // plain
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn spec_name(spec: &mut EngineSpec) -> String {
        spec.name.clone()
    }

    /// The command as an array of arguments.
    ///
    /// ```rhai
    /// print(vllm::engine(#{ model: "m" }).command[1]); // serve
    /// ```
    #[rhai_fn(get = "command", pure)]
    pub fn spec_command(spec: &mut EngineSpec) -> rhai::Array {
        spec.command
            .iter()
            .map(|word| word.clone().into())
            .collect()
    }

    /// The engine's name.
    ///
    /// ```rhai
    /// print(start(sim::engine()).name); // sim
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(engine: &mut Engine) -> String {
        engine.0.spec.name.clone()
    }

    /// The port on which it listens.
    ///
    /// ```rhai
    /// print(start(sim::engine()).port);
    /// ```
    #[rhai_fn(get = "port", pure)]
    pub fn port(engine: &mut Engine) -> i64 {
        i64::from(engine.0.port)
    }

    /// Waits until the engine is ready, has exited, or `timeout_s` has passed. Returns true if it is
    /// ready.
    ///
    /// Ready means that its process runs, its health check passes, and it lists its model.
    ///
    /// ```rhai
    /// let engine = start(sim::engine());
    /// if !engine.wait_until_ready(60) { throw "it does not start"; }
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn wait_until_ready(
        context: NativeCallContext,
        engine: &mut Engine,
        timeout_s: f64,
    ) -> Result<bool, Box<EvalAltResult>> {
        wait_for(&context, engine, timeout_s)
    }

    /// Waits until the engine is ready, has exited, or `timeout_s` has passed. Returns true if it is
    /// ready.
    #[rhai_fn(name = "wait_until_ready", return_raw, pure)]
    pub fn wait_until_ready_whole(
        context: NativeCallContext,
        engine: &mut Engine,
        timeout_s: i64,
    ) -> Result<bool, Box<EvalAltResult>> {
        wait_for(&context, engine, timeout_s as f64)
    }

    /// Returns true if the engine is running and passes its health check, without waiting.
    ///
    /// ```rhai
    /// let engine = start(sim::engine());
    /// engine.wait_until_ready(60);
    /// print(engine.is_healthy()); // true
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn is_healthy(
        context: NativeCallContext,
        engine: &mut Engine,
    ) -> Result<bool, Box<EvalAltResult>> {
        wait(&Host::of(&context), engine.0.is_healthy())
    }

    /// Stops the engine and all its processes with SIGINT, SIGTERM and then SIGKILL. An engine at an
    /// address keeps running.
    ///
    /// ```rhai
    /// let engine = start(sim::engine());
    /// engine.close();
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn close(
        context: NativeCallContext,
        engine: &mut Engine,
    ) -> Result<(), Box<EvalAltResult>> {
        let host = Host::of(&context);
        Ok(host
            .wait(host.runner().fleet.close(&engine.0))
            .map_err(ScriptError::from)?)
    }

    /// The spec as text.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn spec_text(spec: &mut EngineSpec) -> String {
        let started = spec.command.join(" ");
        format!(
            "{} ({})",
            spec.name,
            spec.url.clone().map_or(started, String::from)
        )
    }

    /// The engine in words.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn text(engine: &mut Engine) -> String {
        format!("{} on {}", engine.0.spec.name, engine.0.server.base_url())
    }
}
