//! Results of experiments in scripts.

use super::engine::{Handle, Spec};
use super::measure::Measure;
use crate::core::{EngineResult, ExperimentResult, Row, Tail};
use crate::script::diagnostic::ScriptError;
use rhai::plugin::*;
use rhai::{Array, Dynamic, EvalAltResult, Module};
use std::rc::Rc;

/// Returns the types with their methods.
pub fn types() -> Module {
    exported_module!(methods)
}

/// The identity of an engine of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A spec.
    Spec(usize),
    /// A handle.
    Handle(usize),
}

impl Key {
    /// Returns the key of an engine, `None` for other values.
    pub fn of(value: &Dynamic) -> Option<Self> {
        if let Some(spec) = value.clone().try_cast::<Spec>() {
            return Some(Self::Spec(Rc::as_ptr(&spec).addr()));
        }
        value
            .clone()
            .try_cast::<Handle>()
            .map(|handle| Self::Handle(handle.identity()))
    }
}

/// The result of `run`.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The result.
    pub seen: ExperimentResult,
    /// The engines, in the order of the call.
    pub keys: Vec<Key>,
}

fn some(measure: &Measure, value: Option<f64>) -> Result<f64, Box<EvalAltResult>> {
    Ok(value.ok_or_else(|| {
        ScriptError::new(format!(
            "there is no {}: no request has one",
            measure.what()
        ))
        .help("`count` says how many requests have a measure")
    })?)
}

fn by_key(
    experiment: &Experiment,
    key: Option<Key>,
    what: &str,
) -> Result<EngineResult, Box<EvalAltResult>> {
    let index = key.and_then(|key| experiment.keys.iter().position(|known| *known == key));
    let found = index
        .and_then(|index| experiment.seen.engines.get(index))
        .cloned();
    Ok(found.ok_or_else(|| {
        let names = experiment
            .seen
            .engines
            .iter()
            .map(|engine| format!("`{}`", engine.name));
        let names = names.collect::<Vec<_>>().join(", ");
        ScriptError::new(format!("{what} was not in this experiment"))
            .help(format!("its engines were {names}"))
    })?)
}

/// Converts a row to a map with the column names of the CSV.
fn as_map(row: &Row) -> Dynamic {
    let json = serde_json::to_string(row).unwrap_or_default();
    serde_json::from_str(&json).unwrap_or(Dynamic::UNIT)
}

/// The methods of results.
#[export_module]
mod methods {
    /// The result of an experiment, indexed by engine.
    pub type ExperimentResult = super::Experiment;
    /// The result of one engine.
    pub type EngineResult = crate::core::EngineResult;
    /// The values of one measure.
    pub type Distribution = super::Measure;

    /// The result of the engine that was started from `engine`.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.p50);
    /// ```
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn by_spec(
        seen: &mut ExperimentResult,
        engine: Spec,
    ) -> Result<EngineResult, Box<EvalAltResult>> {
        let what = format!("engine `{}`", engine.name);
        by_key(seen, Key::of(&Dynamic::from(engine)), &what)
    }

    /// The result of `engine`.
    #[rhai_fn(index_get, return_raw, pure)]
    pub fn by_handle(
        seen: &mut ExperimentResult,
        engine: Handle,
    ) -> Result<EngineResult, Box<EvalAltResult>> {
        by_key(seen, Key::of(&Dynamic::from(engine)), "this engine")
    }

    /// The results of all engines, in the order of `run`.
    ///
    /// ```rhai
    /// for engine in seen.engines { print(engine.name); }
    /// ```
    #[rhai_fn(get = "engines", pure)]
    pub fn engines(seen: &mut ExperimentResult) -> Array {
        seen.seen
            .engines
            .iter()
            .cloned()
            .map(Dynamic::from)
            .collect()
    }

    /// The engine's name.
    ///
    /// ```rhai
    /// print(seen[plain].name);
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(engine: &mut EngineResult) -> String {
        engine.name.to_string()
    }

    /// Time to first token, seconds from the send.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.p50);
    /// ```
    #[rhai_fn(get = "ttft", pure)]
    pub fn ttft(engine: &mut EngineResult) -> Distribution {
        Measure::from_engine(engine, "TTFT", |row| row.ttft)
    }

    /// Time to the last token, seconds from the send.
    ///
    /// ```rhai
    /// print(seen[plain].latency.p99);
    /// ```
    #[rhai_fn(get = "latency", pure)]
    pub fn latency(engine: &mut EngineResult) -> Distribution {
        Measure::from_engine(engine, "latency", |row| row.latency)
    }

    /// Output tokens per second between the first and the last token.
    ///
    /// ```rhai
    /// print(seen[plain].throughput.mean);
    /// ```
    #[rhai_fn(get = "throughput", pure)]
    pub fn throughput(engine: &mut EngineResult) -> Distribution {
        Measure::from_engine(engine, "throughput", |row| row.throughput)
    }

    /// Time per output token after the first, seconds.
    ///
    /// ```rhai
    /// print(seen[plain].tpot.p50);
    /// ```
    #[rhai_fn(get = "tpot", pure)]
    pub fn tpot(engine: &mut EngineResult) -> Distribution {
        Measure::from_engine(engine, "tpot_s", |row| row.tpot_s)
    }

    /// The delay of sending requests, seconds.
    ///
    /// ```rhai
    /// print(seen[plain].send_lag.max);
    /// ```
    #[rhai_fn(get = "send_lag", pure)]
    pub fn send_lag(engine: &mut EngineResult) -> Distribution {
        Measure::from_engine(engine, "send_lag_s", |row| row.send_lag_s)
    }

    /// Cached prompt tokens of each request.
    ///
    /// ```rhai
    /// print(seen[cached].cached_tokens.values);
    /// ```
    #[rhai_fn(get = "cached_tokens", pure)]
    pub fn cached_tokens(engine: &mut EngineResult) -> Distribution {
        Measure::from_engine(engine, "cached_tokens", |row| {
            row.cached_tokens.map(|tokens| tokens as f64)
        })
    }

    /// The hit rate: cached prompt tokens over all prompt tokens; `()` if the engine does not report
    /// them.
    ///
    /// ```rhai
    /// print(seen[cached].cached_share);
    /// ```
    #[rhai_fn(get = "cached_share", pure)]
    pub fn cached_share(engine: &mut EngineResult) -> Dynamic {
        EngineResult::cached_share(engine).map_or(Dynamic::UNIT, Dynamic::from)
    }

    /// The number of requests without a complete response.
    ///
    /// ```rhai
    /// check::equal(seen[plain].failed, 0, "failed requests");
    /// ```
    #[rhai_fn(get = "failed", pure)]
    pub fn failed(engine: &mut EngineResult) -> i64 {
        EngineResult::failed(engine) as i64
    }

    /// Failed requests over all requests, from 0.0 to 1.0; `()` if there are no requests.
    ///
    /// ```rhai
    /// check::at_most(seen[plain].error_rate, 0.01, "error rate");
    /// ```
    #[rhai_fn(get = "error_rate", pure)]
    pub fn error_rate(engine: &mut EngineResult) -> Dynamic {
        EngineResult::error_rate(engine).map_or(Dynamic::UNIT, Dynamic::from)
    }

    /// The requests, as maps with the column names of the CSV, in their order.
    ///
    /// ```rhai
    /// print(seen[plain].requests[0].TTFT);
    /// ```
    #[rhai_fn(get = "requests", pure)]
    pub fn requests(engine: &mut EngineResult) -> Array {
        engine.rows.iter().map(as_map).collect()
    }

    /// The result as text.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn engine_text(engine: &mut EngineResult) -> String {
        format!(
            "{}: {} requests, {} failed",
            engine.name,
            engine.rows.len(),
            EngineResult::failed(engine)
        )
    }

    /// The measure and its engine.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.what); // TTFT of `plain`
    /// ```
    #[rhai_fn(get = "what", pure)]
    pub fn what(measure: &mut Distribution) -> String {
        measure.what()
    }

    /// The number of requests that have the measure.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.count);
    /// ```
    #[rhai_fn(get = "count", pure)]
    pub fn count(measure: &mut Distribution) -> i64 {
        measure.values().count() as i64
    }

    /// The values, ascending.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.values[0]);
    /// ```
    #[rhai_fn(get = "values", pure)]
    pub fn values(measure: &mut Distribution) -> Array {
        measure
            .values()
            .values()
            .iter()
            .map(|value| (*value).into())
            .collect()
    }

    /// The percentile `p` of 0 to 100, interpolated as numpy does.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.p(95));
    /// ```
    #[rhai_fn(name = "p", return_raw, pure)]
    pub fn percentile(measure: &mut Distribution, p: f64) -> Result<f64, Box<EvalAltResult>> {
        some(measure, measure.values().percentile(p))
    }

    /// The percentile `p` of 0 to 100, interpolated as numpy does.
    #[rhai_fn(name = "p", return_raw, pure)]
    pub fn percentile_whole(measure: &mut Distribution, p: i64) -> Result<f64, Box<EvalAltResult>> {
        some(measure, measure.values().percentile(p as f64))
    }

    /// The median.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.p50);
    /// ```
    #[rhai_fn(get = "p50", return_raw, pure)]
    pub fn p50(measure: &mut Distribution) -> Result<f64, Box<EvalAltResult>> {
        some(measure, measure.values().percentile(50.0))
    }

    /// The 90th percentile.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.p90);
    /// ```
    #[rhai_fn(get = "p90", return_raw, pure)]
    pub fn p90(measure: &mut Distribution) -> Result<f64, Box<EvalAltResult>> {
        some(measure, measure.values().percentile(90.0))
    }

    /// The 95th percentile.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.p95);
    /// ```
    #[rhai_fn(get = "p95", return_raw, pure)]
    pub fn p95(measure: &mut Distribution) -> Result<f64, Box<EvalAltResult>> {
        some(measure, measure.values().percentile(95.0))
    }

    /// The 99th percentile.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.p99);
    /// ```
    #[rhai_fn(get = "p99", return_raw, pure)]
    pub fn p99(measure: &mut Distribution) -> Result<f64, Box<EvalAltResult>> {
        some(measure, measure.values().percentile(99.0))
    }

    /// The arithmetic mean.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.mean);
    /// ```
    #[rhai_fn(get = "mean", return_raw, pure)]
    pub fn mean(measure: &mut Distribution) -> Result<f64, Box<EvalAltResult>> {
        some(measure, measure.values().mean())
    }

    /// The smallest value.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.min);
    /// ```
    #[rhai_fn(get = "min", return_raw, pure)]
    pub fn min(measure: &mut Distribution) -> Result<f64, Box<EvalAltResult>> {
        some(measure, measure.values().min())
    }

    /// The largest value.
    ///
    /// ```rhai
    /// print(seen[plain].ttft.max);
    /// ```
    #[rhai_fn(get = "max", return_raw, pure)]
    pub fn max(measure: &mut Distribution) -> Result<f64, Box<EvalAltResult>> {
        some(measure, measure.values().max())
    }

    /// The measure in words.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn measure_text(measure: &mut Distribution) -> String {
        let (what, values) = (measure.what(), measure.values());
        let number = |value| format!("{value:.4}");
        let p50 = values.percentile(50.0).map_or_else(|| "-".into(), number);
        let tail = match values.percentile_or_max(99.0) {
            Some(Tail::Percentile(value)) => format!("p99 {}", number(value)),
            Some(Tail::MaxOf(value, _)) => format!("max {}", number(value)),
            None => "max -".into(),
        };
        format!("{what}: p50 {p50}, {tail}, {} values", values.count())
    }
}
