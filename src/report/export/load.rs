//! The load of an experiment, read from the manifest beside the CSV.

use crate::core::workload::{Endpoint, Spacing};
use serde::Deserialize;
use serde_json::Value;

/// The load that was sent, and the start of the run.
#[derive(Clone, Debug)]
pub struct RecordedLoad {
    /// The start of the run, seconds since 1970.
    pub started_unix_s: Option<i64>,
    /// The start of every `x-request-id` of the run.
    pub run_id: String,
    /// The address of an engine that was running already.
    pub url: Option<String>,
    workload: LoadOptions,
}

/// The options of a workload that other tools have, too.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct LoadOptions {
    qps: Option<f64>,
    gap_s: Option<f64>,
    to_qps: Option<f64>,
    stages: Vec<Value>,
    arrivals: Spacing,
    burstiness: Option<f64>,
    burst: Option<u64>,
    concurrency: Option<u64>,
    tokenizer: Option<String>,
    request: RequestOptions,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RequestOptions {
    endpoint: Endpoint,
}

/// The schedule of the requests of a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// A fixed number in flight.
    Closed(u64),
    /// All at the same time.
    AtOnce,
    /// Requests per second, evenly spaced.
    Constant(f64),
    /// Requests per second with exponential gaps.
    Poisson(f64),
    /// Requests per second with gamma-distributed gaps, and their shape.
    Gamma(f64, f64),
    /// A schedule that one rate does not describe: stages, bursts, recorded times.
    Other,
}

impl RecordedLoad {
    /// Reads the load of one experiment, as one engine got it; `None` if the manifest does not have it.
    pub fn read(manifest: &Value, engine: &str, experiment: usize) -> Option<Self> {
        let experiments = manifest["experiments"].as_array()?;
        let found = experiments
            .iter()
            .find(|one| one["expr_id"] == experiment)?;
        let engines = found["engines"].as_array().into_iter().flatten();
        let spec = engines.into_iter().find(|spec| spec["name"] == engine);
        Some(Self {
            started_unix_s: manifest["started_unix_s"].as_i64(),
            run_id: manifest["run_id"].as_str().unwrap_or_default().into(),
            url: spec.and_then(|spec| Some(spec["url"].as_str()?.to_owned())),
            workload: LoadOptions::deserialize(&found["workload"]).ok()?,
        })
    }

    /// The endpoint that the requests went to.
    pub fn endpoint(&self) -> Endpoint {
        self.workload.request.endpoint
    }

    /// The tokenizer that counted the prompts; `None` without one.
    pub fn tokenizer(&self) -> Option<&str> {
        self.workload.tokenizer.as_deref()
    }

    /// The schedule of the requests.
    pub fn pace(&self) -> Pace {
        let LoadOptions {
            qps,
            gap_s,
            concurrency,
            burstiness,
            ..
        } = self.workload;
        if let Some(concurrency) = concurrency {
            return Pace::Closed(concurrency);
        }
        if self.workload.to_qps.is_some()
            || self.workload.burst.is_some()
            || !self.workload.stages.is_empty()
        {
            return Pace::Other;
        }
        if gap_s == Some(0.0) {
            return Pace::AtOnce;
        }
        let Some(rate) = qps.or(gap_s.map(f64::recip)) else {
            return Pace::Other;
        };
        match (self.workload.arrivals, burstiness) {
            (Spacing::Constant, _) => Pace::Constant(rate),
            (Spacing::Poisson, _) => Pace::Poisson(rate),
            (Spacing::Gamma, Some(shape)) => Pace::Gamma(rate, shape),
            (Spacing::Gamma, None) => Pace::Other,
        }
    }
}
