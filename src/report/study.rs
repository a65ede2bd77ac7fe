//! The results of one test, in the order in which a reader wants them.

use super::verdict::Verdict;
use crate::bench::results::{self, Record, Results, ResultsError};
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
}

impl Study {
    /// Reads a CSV and what lies beside it.
    ///
    /// # Errors
    /// When the CSV holds no results. A manifest that cannot be read is none.
    pub fn read(csv: &Path) -> Result<Self, ResultsError> {
        let manifest = std::fs::read_to_string(csv.with_extension("manifest.json")).ok();
        let name = csv.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            csv: csv.into(),
            name,
            manifest: manifest.and_then(|text| serde_json::from_str(&text).ok()),
            experiments: experiments(results::read(csv)?),
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
}

type Key = (Option<u64>, Option<u64>);
type Engines = BTreeMap<(u64, Arc<str>), Vec<Record>>;

fn experiments(results: Results) -> Vec<Experiment> {
    let mut groups: BTreeMap<Key, Engines> = BTreeMap::new();
    for record in results.records {
        let engines = groups.entry(record.experiment()).or_default();
        engines.entry((record.engine_id, record.engine_name())).or_default().push(record);
    }
    groups.into_iter().map(|(key, engines)| experiment(key, engines)).collect()
}

fn experiment((case, number): Key, engines: Engines) -> Experiment {
    let mut engines: Vec<_> = engines.into_iter().map(|((_, name), records)| (name, records)).collect();
    for (_, records) in &mut engines {
        records.sort_by_key(|record| record.request_id);
    }
    let lens = || engines.iter().flat_map(|engine| &engine.1).map(|record| record.context_len);
    let (low, high) = (lens().min().unwrap_or_default(), lens().max().unwrap_or_default());
    let context = if low == high { format!("{low}") } else { format!("{low}–{high}") };
    let case = case.map_or_else(String::new, |case| format!("{case}."));
    let number = number.map_or_else(|| "–".into(), |number| number.to_string());
    Experiment {
        title: format!("Experiment {case}{number}: context of {context} tokens"),
        short: format!("{case}{number}: {context}"),
        engines,
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
        let last = record.last_token_s.or_else(|| Some(sent + record.latency?))?;
        let by_rate = || record.throughput.map(|rate| rate * (last - first));
        let tokens = record.output_tokens.map(|tokens| tokens as f64).or_else(by_rate).unwrap_or_default();
        Some(Self { at: [planned, sent, first, last], tokens })
    }
}
