//! The requests that are exported: one engine in one experiment.

use super::load::{Pace, RecordedLoad};
use crate::core;
use crate::core::{Row, result::Results};
use crate::report::test_results::{reason_in_rows, reasons_in_manifest};
use serde_json::Value;
use std::collections::BTreeSet;

/// One engine's requests of one experiment, in their order.
#[derive(Clone, Debug)]
pub struct Run {
    /// The file they are from.
    pub source: String,
    /// The engine.
    pub engine: String,
    /// The experiment.
    pub experiment: usize,
    rows: Vec<Row>,
    load: Option<RecordedLoad>,
    /// The reasons why the numbers cannot be believed; none of a valid experiment.
    invalid: Vec<String>,
}

impl Run {
    /// Those of `engine` and `experiment`; where the file has only one of them, it need not be named.
    ///
    /// # Errors
    /// When there is no such, or several to choose from, or the file has no moments.
    pub fn of(
        source: &str,
        results: &Results,
        engine: Option<&str>,
        experiment: Option<usize>,
    ) -> Result<Self, String> {
        if !results
            .columns
            .iter()
            .any(|column| column == "first_chunk_s")
        {
            return Err(format!(
                "{source} has no moments, such as `sent_s`: only CSVs of lmrun can be exported"
            ));
        }
        let engines = results.rows.iter().map(|row| row.engine.to_string());
        let engine = one(
            source,
            "engine",
            engines.collect(),
            engine.map(str::to_owned),
        )?;
        let of_engine = |row: &&Row| *row.engine == *engine;
        let experiments = results
            .rows
            .iter()
            .filter(of_engine)
            .filter_map(|row| row.expr_id);
        let experiment = one(source, "experiment", experiments.collect(), experiment)?;
        let is_meant = |row: &&Row| of_engine(row) && row.expr_id == Some(experiment);
        let mut rows: Vec<Row> = results.rows.iter().filter(is_meant).cloned().collect();
        rows.sort_by_key(|row| row.request_id);
        let invalid = reason_in_rows(rows.iter()).into_iter().collect();
        Ok(Self {
            source: source.into(),
            engine,
            experiment,
            rows,
            load: None,
            invalid,
        })
    }

    /// Adds the values that the manifest beside the CSV has for the experiment: its load, and the reasons if
    /// it is invalid.
    #[must_use]
    pub fn with_manifest(self, manifest: &Value) -> Self {
        let load = RecordedLoad::read(manifest, &self.engine, self.experiment);
        let reasons = reasons_in_manifest(manifest, self.experiment);
        let invalid = if reasons.is_empty() {
            self.invalid
        } else {
            reasons
        };
        Self {
            load,
            invalid,
            ..self
        }
    }

    /// The load in the manifest; `None` if the manifest is missing or does not have this experiment.
    pub fn load(&self) -> Option<&RecordedLoad> {
        self.load.as_ref()
    }

    /// The schedule of the requests. A rate of sessions is not a rate of requests.
    pub fn pace(&self) -> Pace {
        let has_turns = self.rows.iter().any(|row| row.turn > 0);
        match self.load.as_ref().map(RecordedLoad::pace) {
            Some(closed @ Pace::Closed(_)) => closed,
            Some(pace) if !has_turns => pace,
            _ => Pace::Other,
        }
    }

    /// All requests.
    pub fn all(&self) -> &[Row] {
        &self.rows
    }

    /// Those that were answered whole.
    pub fn ok(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_ok())
    }

    /// Returns the numbers of successful and of failed requests.
    pub fn counts(&self) -> (usize, usize) {
        let ok = self.ok().count();
        (ok, self.rows.len() - ok)
    }

    /// A measure of those that were answered whole and have it.
    pub fn measure(&self, measure: impl Fn(&Row) -> Option<f64>) -> Vec<f64> {
        self.ok().filter_map(measure).collect()
    }

    /// A count of tokens over all that were answered; `None` where the engine has not counted in one of
    /// them.
    pub fn tokens(&self, tokens: impl Fn(&Row) -> Option<u64>) -> Option<u64> {
        self.ok().map(tokens).sum()
    }

    /// Returns the time at which the first request was sent, seconds.
    pub fn first_sent_s(&self) -> Option<f64> {
        self.rows
            .iter()
            .filter_map(|row| row.sent_s)
            .reduce(f64::min)
    }

    /// The model.
    pub fn model(&self) -> Option<&str> {
        self.rows
            .iter()
            .map(|row| &*row.model)
            .find(|model| !model.is_empty())
    }

    /// Returns true if the engine is simulated.
    pub fn is_simulated(&self) -> bool {
        self.rows.iter().any(|row| row.simulated)
    }

    /// Returns the remarks that a reader of these rows needs.
    pub fn remarks(&self) -> impl Iterator<Item = (String, Value)> {
        let counted = self
            .ok()
            .any(|row| row.output_tokens_from.as_deref() == Some("chunks"));
        let unknown = self.tokens(|row| row.prompt_tokens).is_none();
        let mark = core::invalid(self.invalid.iter().map(String::as_str));
        let invalid = (!mark.is_empty()).then(|| ("validity".to_owned(), mark.into()));
        let remarks = [
            counted.then_some((
                "output tokens",
                "chunks where the engine has not counted tokens",
            )),
            unknown.then_some((
                "input tokens",
                "left out: the engine has not counted those of every request",
            )),
        ];
        let remarks = remarks
            .into_iter()
            .flatten()
            .map(|(what, why)| (what.to_owned(), why.into()));
        invalid.into_iter().chain(remarks)
    }
}

/// The one that is asked for, or the only one there is.
fn one<T: Ord + ToString>(
    source: &str,
    what: &str,
    mut there: BTreeSet<T>,
    asked: Option<T>,
) -> Result<T, String> {
    let names = there
        .iter()
        .map(|name| format!("`{}`", name.to_string()))
        .collect::<Vec<_>>()
        .join(", ");
    let option = format!("`--{what}`");
    match asked {
        Some(asked) => there.take(&asked).ok_or_else(|| {
            format!(
                "{source} has no {what} `{}`; {option} takes {names}",
                asked.to_string()
            )
        }),
        None if there.len() == 1 => Ok(there.pop_first().expect("one is there")),
        None if there.is_empty() => Err(format!("{source} has no row")),
        None => Err(format!(
            "{source} holds the {what}s {names}: choose one with {option}"
        )),
    }
}
