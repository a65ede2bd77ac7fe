//! The results of one test, by experiment and engine.

use super::outcome::TestOutcome;
use crate::core::result::{self, ResultsError};
use crate::core::{Row, invalid};
use crate::driver::files;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A result file with its manifest.
pub(crate) struct TestResults {
    /// The path of the file.
    pub(crate) csv: PathBuf,
    /// The name of the file without its extension.
    pub(crate) name: String,
    /// The manifest; `None` if it is missing or invalid.
    pub(crate) manifest: Option<Value>,
    /// The experiments, in their order.
    pub(crate) experiments: Vec<ExperimentRows>,
}

/// The rows of one experiment.
pub(crate) struct ExperimentRows {
    /// The title.
    pub(crate) title: String,
    /// A short title.
    pub(crate) short: String,
    /// The rows of each engine, ordered by request.
    pub(crate) engines: Vec<EngineRows>,
    /// The reasons why the experiment is invalid.
    pub(crate) invalid: Vec<String>,
}

/// The rows of one engine in one experiment.
pub(crate) struct EngineRows {
    /// The name of the engine.
    pub(crate) name: Arc<str>,
    /// The rows, at least one.
    pub(crate) rows: Vec<Row>,
}

impl TestResults {
    /// Reads a CSV and the manifest beside it.
    ///
    /// # Errors
    /// Fails if the CSV is not a result file.
    pub(crate) fn read(csv: &Path) -> Result<Self, ResultsError> {
        let manifest = read_manifest(csv);
        let name = csv.file_stem().unwrap_or_default();
        Ok(Self {
            csv: csv.into(),
            name: name.to_string_lossy().into_owned(),
            experiments: experiments(result::read(csv)?.rows, manifest.as_ref()),
            manifest,
        })
    }

    /// All rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.experiments.iter().flat_map(ExperimentRows::rows)
    }

    /// The outcome of the test, if the manifest has it.
    pub(crate) fn outcome(&self) -> Option<TestOutcome> {
        self.manifest.as_ref().and_then(TestOutcome::from_manifest)
    }

    /// The word INVALID and the reasons of each invalid experiment; empty if all are valid.
    pub(crate) fn mark(&self) -> String {
        let mut reasons = Vec::new();
        for experiment in &self.experiments {
            let name = experiment.title.split(':').next().unwrap_or_default();
            for reason in &experiment.invalid {
                reasons.push(format!("{name}: {reason}"));
            }
        }
        invalid(reasons.iter().map(String::as_str))
    }

    /// Returns true if any engine is simulated.
    pub(crate) fn is_simulated(&self) -> bool {
        self.rows().any(|row| row.simulated)
    }
}

impl ExperimentRows {
    /// All rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.engines.iter().flat_map(|engine| &engine.rows)
    }

    /// The word INVALID and the reasons; empty if the experiment is valid.
    pub(crate) fn mark(&self) -> String {
        invalid(self.invalid.iter().map(String::as_str))
    }
}

impl EngineRows {
    /// The name of the engine, marked if it is simulated.
    pub(crate) fn label(&self) -> String {
        let simulated = self.rows.iter().find(|row| row.simulated);
        simulated.map_or_else(|| self.name.to_string(), Row::engine_label)
    }
}

/// Reads the manifest beside a CSV; `None` if it is missing or invalid.
pub(crate) fn read_manifest(csv: &Path) -> Option<Value> {
    let text = files::read_text(&csv.with_extension("manifest.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// Returns the reasons in the manifest why an experiment is invalid.
pub(crate) fn reasons_in_manifest(manifest: &Value, expr_id: usize) -> Vec<String> {
    let mut experiments = manifest["experiments"].as_array().into_iter().flatten();
    let experiment = experiments.find(|experiment| experiment["expr_id"] == expr_id);
    let reasons = experiment.and_then(|experiment| experiment["invalid"].as_array());
    reasons
        .into_iter()
        .flatten()
        .filter_map(|reason| reason["text"].as_str().map(str::to_owned))
        .collect()
}

/// Returns the reason why an experiment is invalid if only its rows are known.
pub(crate) fn reason_in_rows<'a>(mut rows: impl Iterator<Item = &'a Row>) -> Option<String> {
    rows.any(|row| row.valid == Some(false))
        .then(|| "its rows say so, and no manifest beside them says why".to_owned())
}

/// The case and the number of an experiment.
type ExperimentKey = (Option<usize>, Option<usize>);

/// Returns the experiments in the order of their numbers, with the engines in theirs.
fn experiments(rows: Vec<Row>, manifest: Option<&Value>) -> Vec<ExperimentRows> {
    let mut groups: BTreeMap<ExperimentKey, BTreeMap<_, Vec<Row>>> = BTreeMap::new();
    for row in rows {
        let engines = groups.entry((row.case_id, row.expr_id)).or_default();
        let engine = (row.engine_id, row.engine.clone());
        engines.entry(engine).or_default().push(row);
    }
    let mut experiments = Vec::new();
    for (key, group) in groups {
        let mut engines = Vec::new();
        for ((_, name), mut rows) in group {
            rows.sort_by_key(|row| row.request_id);
            engines.push(EngineRows { name, rows });
        }
        let mut invalid = match (manifest, key.1) {
            (Some(manifest), Some(expr_id)) => reasons_in_manifest(manifest, expr_id),
            _ => Vec::new(),
        };
        if invalid.is_empty() {
            invalid.extend(reason_in_rows(
                engines.iter().flat_map(|engine| &engine.rows),
            ));
        }
        experiments.push(experiment(key, engines, invalid));
    }
    experiments
}

fn experiment(
    (case, number): ExperimentKey,
    engines: Vec<EngineRows>,
    invalid: Vec<String>,
) -> ExperimentRows {
    let rows = engines.iter().flat_map(|engine| &engine.rows);
    let lens = rows.map(|row| row.context_len);
    let low = lens.clone().min().unwrap_or_default();
    let high = lens.max().unwrap_or_default();
    let context = if low == high {
        format!("{low}")
    } else {
        format!("{low}–{high}")
    };
    let case = case.map_or_else(String::new, |case| format!("{case}."));
    let number = number.map_or_else(|| "–".into(), |number| number.to_string());
    ExperimentRows {
        title: format!("Experiment {case}{number}: context of {context} tokens"),
        short: format!("{case}{number}: {context}"),
        engines,
        invalid,
    }
}
