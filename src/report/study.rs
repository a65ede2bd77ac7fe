//! The results of one test, in the order in which a reader wants them.

use super::verdict::Verdict;
use crate::core;
use crate::core::result::{self, Record, Results, ResultsError};
use crate::driver::files;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A result file with its manifest.
pub struct Study {
    /// The file.
    pub csv: PathBuf,
    /// Its name without the ending.
    pub name: String,
    /// What was run; the original left none.
    pub manifest: Option<Value>,
    /// Its experiments, in their order.
    pub experiments: Vec<Experiment>,
}

/// One workload on its engines.
pub struct Experiment {
    /// What a reader calls it.
    pub title: String,
    /// The same in a word or two.
    pub short: String,
    /// The requests of each engine, by request.
    pub engines: Vec<(Arc<str>, Vec<Record>)>,
    /// The reasons why its numbers cannot be believed; none of a valid experiment.
    pub invalid: Vec<String>,
}

impl Study {
    /// Reads a CSV and what lies beside it.
    ///
    /// # Errors
    /// When the CSV holds no results. A manifest that cannot be read is none.
    pub fn read(csv: &Path) -> Result<Self, ResultsError> {
        let manifest = manifest_of(csv);
        let name = csv
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let experiments = experiments(result::read(csv)?, manifest.as_ref());
        Ok(Self {
            csv: csv.into(),
            name,
            manifest,
            experiments,
        })
    }

    /// All its requests.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.experiments.iter().flat_map(Experiment::records)
    }

    /// How it went, where its manifest tells.
    pub fn verdict(&self) -> Option<Verdict> {
        self.manifest.as_ref().and_then(Verdict::of)
    }

    /// The mark of a study with invalid experiments, with the reasons of each; empty without one.
    pub fn mark(&self) -> String {
        let reasons = |e: &Experiment| {
            let name = e.title.split(':').next().unwrap_or_default().to_owned();
            e.invalid
                .iter()
                .map(|reason| format!("{name}: {reason}"))
                .collect::<Vec<_>>()
        };
        let reasons: Vec<String> = self.experiments.iter().flat_map(reasons).collect();
        core::invalid(reasons.iter().map(String::as_str))
    }

    /// Whether any of its numbers is made up.
    pub fn is_simulated(&self) -> bool {
        self.records().any(|record| record.simulated == Some(true))
    }
}

impl Experiment {
    /// All its requests.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.engines.iter().flat_map(|engine| &engine.1)
    }

    /// The mark of an invalid experiment, with the reasons; empty for a valid one.
    pub fn mark(&self) -> String {
        core::invalid(self.invalid.iter().map(String::as_str))
    }
}

/// The manifest beside a CSV, if there is one that can be read.
pub fn manifest_of(csv: &Path) -> Option<Value> {
    let text = files::read_text(&csv.with_extension("manifest.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// The reasons for which `manifest` calls the experiment `expr_id` invalid.
pub fn invalid_by(manifest: &Value, expr_id: u64) -> Vec<String> {
    let experiments = manifest["experiments"].as_array().into_iter().flatten();
    let mut found = experiments.filter(|experiment| experiment["expr_id"] == expr_id);
    let reasons = found
        .next()
        .and_then(|experiment| experiment["invalid"].as_array());
    let text = |reason: &Value| reason["text"].as_str().map(str::to_owned);
    reasons.into_iter().flatten().filter_map(text).collect()
}

type Key = (Option<u64>, Option<u64>);
type Engines = BTreeMap<(u64, Arc<str>), Vec<Record>>;

/// The reason that rows give without a manifest.
pub fn invalid_by_rows<'a>(mut rows: impl Iterator<Item = &'a Record>) -> Option<String> {
    let reason = "its rows say so, and no manifest beside them says why";
    rows.any(|row| row.valid == Some(false))
        .then(|| reason.to_owned())
}

fn experiments(results: Results, manifest: Option<&Value>) -> Vec<Experiment> {
    let mut groups: BTreeMap<Key, Engines> = BTreeMap::new();
    for record in results.records {
        let engines = groups.entry(record.experiment()).or_default();
        engines
            .entry((record.engine_id, record.engine_name()))
            .or_default()
            .push(record);
    }
    let invalid = |(_, number): Key| {
        manifest
            .zip(number)
            .map(|(manifest, n)| invalid_by(manifest, n))
    };
    let experiment = |(key, engines)| experiment(key, engines, invalid(key).unwrap_or_default());
    groups.into_iter().map(experiment).collect()
}

fn experiment((case, number): Key, engines: Engines, mut invalid: Vec<String>) -> Experiment {
    if invalid.is_empty() {
        invalid.extend(invalid_by_rows(engines.values().flatten()));
    }
    let mut engines: Vec<_> = engines
        .into_iter()
        .map(|((_, name), records)| (name, records))
        .collect();
    for (_, records) in &mut engines {
        records.sort_by_key(|record| record.request_id);
    }
    let lens = || {
        engines
            .iter()
            .flat_map(|engine| &engine.1)
            .map(|record| record.context_len)
    };
    let (low, high) = (
        lens().min().unwrap_or_default(),
        lens().max().unwrap_or_default(),
    );
    let context = if low == high {
        format!("{low}")
    } else {
        format!("{low}–{high}")
    };
    let case = case.map_or_else(String::new, |case| format!("{case}."));
    let number = number.map_or_else(|| "–".into(), |number| number.to_string());
    Experiment {
        title: format!("Experiment {case}{number}: context of {context} tokens"),
        short: format!("{case}{number}: {context}"),
        engines,
        invalid,
    }
}

/// When the parts of a request were, seconds from the start of its experiment.
#[derive(Clone, Copy)]
pub struct Moments {
    /// Due, sent, first token, last token.
    pub at: [f64; 4],
    /// How many tokens it generated.
    pub tokens: f64,
}

impl Moments {
    /// Those of an answered request. Of the original's rows they follow from the timestamp and the
    /// durations.
    pub fn of(record: &Record) -> Option<Self> {
        if !record.is_ok() {
            return None;
        }
        let planned = record.planned_s.unwrap_or(record.timestamp);
        let sent = record.sent_s.unwrap_or(record.timestamp);
        let first = record.first_token_s.or_else(|| Some(sent + record.ttft?))?;
        let last = record
            .last_token_s
            .or_else(|| Some(sent + record.latency?))?;
        let by_rate = || record.throughput.map(|rate| rate * (last - first));
        let tokens = record
            .output_tokens
            .map(|tokens| tokens as f64)
            .or_else(by_rate)
            .unwrap_or_default();
        Some(Self {
            at: [planned, sent, first, last],
            tokens,
        })
    }
}
