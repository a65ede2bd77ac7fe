//! The manifest beside a CSV: what was run, so that it can be run again, and how it went.

use super::outputs::in_file;
use crate::core::{ClientHealth, EngineSpec, ExperimentResult, Outcome, Reason};
use crate::driver::{files, secrets};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::path::Path;

/// The facts that all tests of a run share.
#[derive(Clone, Debug, Serialize)]
pub struct RunFacts {
    /// The version of lmrun.
    pub lmrun: &'static str,
    /// The start of the run, seconds since 1970.
    pub started_unix_s: u64,
    /// The command line.
    pub argv: Vec<String>,
    /// The script.
    pub script: String,
    /// The FNV-1a hash of the script's text, as hexadecimal digits.
    pub script_hash: String,
    /// The seed of everything random.
    pub seed: u64,
    /// Parameters given on the command line.
    pub parameters: BTreeMap<String, String>,
    /// The start of every `x-request-id`.
    pub run_id: String,
    /// The names of the machine's GPUs.
    pub gpus: Vec<String>,
}

impl RunFacts {
    /// The facts of this process, which runs `script`.
    pub fn new(
        started_unix_s: u64,
        script: String,
        text: &str,
        seed: u64,
        parameters: BTreeMap<String, String>,
    ) -> Self {
        Self {
            lmrun: env!("CARGO_PKG_VERSION"),
            started_unix_s,
            argv: std::env::args_os()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            script,
            script_hash: hash(text),
            seed,
            parameters,
            run_id: format!("lmrun-{started_unix_s:x}-{:x}", std::process::id()),
            gpus: crate::driver::gpu::names(),
        }
    }
}

/// The record of one test.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    #[serde(flatten)]
    run: RunFacts,
    test: String,
    /// Absent until the end, so that a run that was killed does not pass for one that passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_s: Option<f64>,
    checks: Vec<Check>,
    warnings: Vec<String>,
    experiments: Vec<Experiment>,
}

#[derive(Clone, Debug, Serialize)]
struct Check {
    passed: bool,
    what: String,
    /// The experiment before it.
    expr_id: Option<usize>,
}

#[derive(Clone, Debug, Serialize)]
struct Experiment {
    expr_id: usize,
    workload: Value,
    requests: usize,
    engines: Vec<EngineSpec>,
    client: Option<ClientHealth>,
    /// `null` until it has ended.
    valid: Option<bool>,
    invalid: Vec<Reason>,
}

impl Manifest {
    /// The manifest of a test that has done nothing yet.
    pub fn new(run: RunFacts, test: String) -> Self {
        let (checks, warnings, experiments) = Default::default();
        Self {
            run,
            test,
            outcome: None,
            took_s: None,
            checks,
            warnings,
            experiments,
        }
    }

    /// The manifest of a session at the prompt: there is no outcome to wait for.
    pub fn of_session(run: RunFacts, name: String) -> Self {
        Self {
            outcome: Some(Value::Null),
            ..Self::new(run, name)
        }
    }

    /// Adds an experiment.
    pub fn add(
        &mut self,
        expr_id: usize,
        workload: Value,
        requests: usize,
        engines: Vec<EngineSpec>,
    ) {
        let (client, valid, invalid) = Default::default();
        self.experiments.push(Experiment {
            expr_id,
            workload,
            requests,
            engines,
            client,
            valid,
            invalid,
        });
    }

    /// Adds the client's values of the experiment that has just ended, and whether it is valid.
    pub fn end_experiment(&mut self, seen: &ExperimentResult) {
        if let Some(experiment) = self.experiments.last_mut() {
            experiment.client = Some(seen.client.clone());
            experiment.valid = Some(seen.validity.is_valid());
            experiment.invalid.clone_from(&seen.validity.reasons);
        }
    }

    /// The experiments that have ended, and whether each is valid.
    pub fn judged(&self) -> BTreeMap<usize, bool> {
        let judged = self
            .experiments
            .iter()
            .map(|experiment| Some((experiment.expr_id, experiment.valid?)));
        judged.flatten().collect()
    }

    /// Adds a claim, and whether it holds.
    pub fn add_check(&mut self, passed: bool, what: String) {
        let expr_id = self.experiments.last().map(|experiment| experiment.expr_id);
        self.checks.push(Check {
            passed,
            what,
            expr_id,
        });
    }

    /// Returns true if an experiment was planned.
    pub fn has_experiments(&self) -> bool {
        !self.experiments.is_empty()
    }

    /// Returns the number of checks that passed, or that failed.
    pub fn checks(&self, passed: bool) -> usize {
        self.checks
            .iter()
            .filter(|check| check.passed == passed)
            .count()
    }

    /// Adds what the reader of the results must know.
    pub fn add_warning(&mut self, text: String) {
        self.warnings.push(text);
    }

    /// Adds how the test ended.
    pub fn end(&mut self, outcome: &Outcome, took_s: f64) {
        self.took_s = Some(took_s);
        self.outcome = Some(match outcome {
            Outcome::Passed => json!({ "passed": true }),
            Outcome::Failed { code, summary, .. } => {
                json!({ "passed": false, "code": code.exit(), "summary": summary })
            }
        });
    }

    /// Writes it in one piece: a reader never meets half of it, not even after a kill.
    ///
    /// # Errors
    /// Fails if it cannot be written, or if something else than a file is in its place.
    pub fn write(&self, path: &Path) -> Result<()> {
        let written = self
            .text()
            .and_then(|text| files::replace(path, text.as_bytes()));
        written.map_err(|e| in_file(path, &e))
    }

    fn text(&self) -> Result<String> {
        let mut json = serde_json::to_value(self).map_err(Error::from)?;
        hide(&mut json);
        let text = serde_json::to_string_pretty(&json).map_err(Error::from)?;
        Ok(secrets::scrub(&text) + "\n")
    }
}

/// Takes out the texts whose names say that nobody should read them.
fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if secrets::is_secret(name) => {
                        *text = secrets::REMOVED.into();
                    }
                    other => hide(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

/// FNV-1a: tells whether two scripts are the same, and guards nothing.
fn hash(text: &str) -> String {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_removed() {
        let mut manifest = serde_json::json!({
            "env": { "HF_TOKEN": "hf_1", "openai_api_key": "sk-1", "CUDA_VISIBLE_DEVICES": "0" },
            "engines": [{ "headers": { "x-api-key": "sk-2" }, "api_key_env": "MY_KEY", "max_tokens": 4 }],
        });
        hide(&mut manifest);
        let expected = serde_json::json!({
            "env": { "HF_TOKEN": "(removed)", "openai_api_key": "(removed)", "CUDA_VISIBLE_DEVICES": "0" },
            "engines": [{ "headers": { "x-api-key": "(removed)" }, "api_key_env": "MY_KEY", "max_tokens": 4 }],
        });
        assert_eq!(manifest, expected);
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(hash(""), "cbf29ce484222325");
        assert_eq!(hash("a"), "af63dc4c8601ec8c");
    }
}
