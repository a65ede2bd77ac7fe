//! `core/load`: workload configs.

use crate::bench::workload::{ConfigError, Dummy, Generator, Request, WorkloadConfig, estimate_tokens};
use crate::script::fault::Fault;
use crate::script::options;
use rhai::plugin::*;
use rhai::{Array, EvalAltResult, Map, Module};
use std::rc::Rc;

/// The module `core/load`.
pub fn module() -> Module {
    exported_module!(natives)
}

/// What can be done with a workload config.
pub fn types() -> Module {
    exported_module!(methods)
}

/// A workload config in a script.
pub type Workload = Rc<WorkloadConfig>;

/// Reads the options of a generator that takes those of DUMMY.
fn workload(
    function: &str,
    given: &Map,
    generator: impl Fn(Dummy) -> Generator,
) -> Result<Workload, Box<EvalAltResult>> {
    let (dummy, request) = options::read_two::<Dummy, _>(function, given)?;
    let dummy = dummy.checked().map_err(|e| config_fault(function, &e))?;
    Ok(Rc::new(WorkloadConfig { generator: generator(dummy), request }))
}

fn config_fault(function: &str, error: &ConfigError) -> Fault {
    Fault::new(format!("options of `{function}`: {error}")).at_word(error.option)
}

fn as_map(request: &Request) -> Map {
    Map::from([
        ("timestamp".into(), request.timestamp.into()),
        ("context_len".into(), (request.context_len as i64).into()),
        ("query_len".into(), (request.query_len as i64).into()),
        ("prompt".into(), request.prompt.text().into()),
    ])
}

/// Workload configs.
#[export_module]
mod natives {
    /// The DUMMY workload. Its options are described at `load::dummy`.
    #[rhai_fn(return_raw)]
    pub fn dummy(given: Map) -> Result<Workload, Box<EvalAltResult>> {
        workload("load::dummy", &given, Generator::Dummy)
    }

    /// The VARY workload. Its options are described at `load::vary`.
    #[rhai_fn(return_raw)]
    pub fn vary(given: Map) -> Result<Workload, Box<EvalAltResult>> {
        workload("load::vary", &given, Generator::Vary)
    }

    /// How many tokens `text` has, by the stated rule of estimation.
    pub fn estimate_tokens(text: &str) -> i64 {
        super::estimate_tokens(text) as i64
    }
}

/// Methods of a workload config.
#[export_module]
mod methods {
    /// A workload config.
    pub type Workload = super::Workload;

    /// The requests: an array of maps with `timestamp`, `context_len`, `query_len`, `prompt`.
    #[rhai_fn(pure)]
    pub fn generate(workload: &mut Workload) -> Array {
        WorkloadConfig::generate(workload).iter().map(|request| as_map(request).into()).collect()
    }

    /// The config in words.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn text(workload: &mut Workload) -> String {
        format!("{}: {}", workload.name(), workload.title())
    }
}
