//! `core/helper`: processes that engines need. In scripts, their specs are maps.

use super::engine::wait;
use crate::core::{Helper, HelperSpec};
use crate::script::diagnostic::ScriptError;
use crate::script::host::Host;
use crate::script::options;
use rhai::plugin::*;
use rhai::{EvalAltResult, Map, Module, NativeCallContext};
use std::rc::Rc;
use std::sync::Weak;

/// Returns the module `core/helper`.
pub fn module() -> Module {
    exported_module!(natives)
}

/// Returns the types with their methods.
pub fn types() -> Module {
    exported_module!(methods)
}

/// A helper that `start` keeps running.
#[derive(Clone)]
pub struct Kept {
    spec: Rc<HelperSpec>,
    helper: Weak<Helper>,
}

impl Kept {
    /// Starts a helper and waits until it is ready.
    pub fn start(host: &Host, given: &Map) -> Result<Self, Box<EvalAltResult>> {
        let spec = read("start", given)?;
        let helper = wait(host, host.runner().fleet.start_helper(spec.clone()))?
            .map_err(ScriptError::from)?;
        Ok(Self {
            spec: Rc::new(spec),
            helper,
        })
    }
}

fn read(function: &str, given: &Map) -> Result<HelperSpec, ScriptError> {
    let spec = options::read::<HelperSpec>(function, given)?;
    if spec.command.is_empty() {
        return Err(
            ScriptError::new(format!("`{function}`: the command is empty")).help(
                "give program and arguments, such as \
                 `command: [\"my-store\", \"--port\", \"{port}\"]`",
            ),
        );
    }
    Ok(spec)
}

/// Specs of helpers.
#[export_module]
mod natives {
    /// Checks the spec of a helper and returns it. `function` is the caller's name in errors.
    #[rhai_fn(return_raw)]
    pub fn spec(function: &str, given: Map) -> Result<Map, Box<EvalAltResult>> {
        super::read(function, &given)?;
        Ok(given)
    }
}

/// Methods of helpers.
#[export_module]
mod methods {
    /// A helper that was started.
    pub type Helper = super::Kept;

    /// The helper's name.
    ///
    /// ```rhai
    /// print(start(redis::server()).name); // redis :6379
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(helper: &mut Helper) -> String {
        helper.spec.name.clone()
    }

    /// The port on which it listens.
    ///
    /// ```rhai
    /// print(start(redis::server()).port); // 6379
    /// ```
    #[rhai_fn(get = "port", pure)]
    pub fn port(helper: &mut Helper) -> i64 {
        i64::from(helper.spec.port)
    }

    /// Stops the helper now, or when the last engine that uses it has exited.
    ///
    /// ```rhai
    /// let store = start(redis::server(#{ port: 6400 }));
    /// store.close();
    /// ```
    #[rhai_fn(return_raw, pure)]
    pub fn close(
        context: NativeCallContext,
        helper: &mut Helper,
    ) -> Result<(), Box<EvalAltResult>> {
        let host = Host::of(&context);
        Ok(host
            .wait(host.runner().fleet.release(&helper.helper))
            .map_err(ScriptError::from)?)
    }

    /// The helper as text.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn text(helper: &mut Helper) -> String {
        format!(
            "{} on {}:{}",
            helper.spec.name, helper.spec.host, helper.spec.port
        )
    }
}
