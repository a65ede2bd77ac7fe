//! One engine's requests of one experiment in the formats of other tools: each number by the tool's own
//! definition, from the moments of the rows. Values that neither rows nor manifest contain are missing, and a
//! remark says so.

mod aiperf;
mod guidellm;
mod load;
mod run;
mod sample;
mod vllm;

#[cfg(test)]
mod tests;

pub use run::Run;

use serde_json::{Map, Value, json};

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `vllm bench serve`.
    Vllm,
    /// guidellm.
    Guidellm,
    /// aiperf.
    Aiperf,
}

/// The requests of `run` as the result file of `tool` has them. Under `lmrun` stands where they are from,
/// and what is left out or differs.
pub fn export(run: &Run, tool: Tool) -> Value {
    let (mut fields, remarks) = match tool {
        Tool::Vllm => (vllm::fields(run), vllm::remarks(run)),
        Tool::Guidellm => (guidellm::fields(run), guidellm::REMARKS.to_vec()),
        Tool::Aiperf => (aiperf::fields(run), aiperf::REMARKS.to_vec()),
    };
    let remarks = remarks
        .into_iter()
        .map(|(what, why)| (what.to_owned(), Value::from(why)));
    let remarks: Map<String, Value> = remarks.chain(run.remarks()).collect();
    let lmrun = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "source": run.source,
        "experiment": run.experiment,
        "engine": run.engine,
        "simulated": run.is_simulated(),
        "remarks": remarks,
    });
    fields.insert("lmrun".into(), lmrun);
    Value::Object(fields)
}
