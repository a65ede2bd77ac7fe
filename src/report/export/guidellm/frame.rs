//! The parts of a guidellm report around its metrics.

use super::super::load::{Pace, RecordedLoad};
use super::super::run::Run;
use super::metrics::{metrics, totals};
use super::over_time::Window;
use super::requests::requests;
use crate::core::workload::Endpoint;
use serde_json::{Map, Value, json};

/// The fields of the report.
pub fn fields(run: &Run) -> Map<String, Value> {
    let window = window(run);
    let (profile, strategy) = pace(run.pace());
    let backend = backend(run);
    let name = format!("{} {}", run.engine, run.experiment);
    let benchmark = json!({
        "type_": "generative_benchmark",
        "config": {
            "id_": name,
            "run_id": run.load().map_or("", |load| &load.run_id),
            "run_index": run.experiment,
            "strategy": strategy,
            "constraints": {},
            "confidence": null,
            "warnings": [],
            "profile": profile,
            "requests": { "data": run.source },
            "backend": backend,
            "environment": {},
        },
        "scheduler_state": scheduler_state(run, window),
        "scheduler_metrics": scheduler_metrics(run, window, &strategy),
        "metrics": metrics(run, window),
        "requests": requests(run),
        "warnings": [],
    });
    let labels = json!({ "engine": run.engine, "experiment": run.experiment.to_string() });
    let report = json!({
        "metadata": { "version": 2, "guidellm_version": written_by(), "python_version": "", "platform": "" },
        "config": {
            "metadata": { "labels": labels },
            "spec": {
                "backend": backend,
                "profile": profile,
                "data": [{ "kind": "csv_file", "path": run.source }],
                "metrics": { "kind": "generative", "confidence": null, "warnings": [] },
            },
        },
        "benchmarks": [benchmark],
    });
    match report {
        Value::Object(fields) => fields,
        _ => unreachable!("it is written as an object"),
    }
}

fn written_by() -> String {
    format!("lmrun {}", env!("CARGO_PKG_VERSION"))
}

/// Returns the time from the first send to the last end.
fn window(run: &Run) -> Window {
    let start_s = run.first_sent_s().unwrap_or(0.0);
    let end_s = run
        .all()
        .iter()
        .filter_map(|row| row.ended_s)
        .fold(start_s, f64::max);
    Window { start_s, end_s }
}

/// The profile and the strategy of a pace. A pace that one rate does not describe is given by the times of
/// the requests, as in a replay of a trace.
fn pace(pace: Pace) -> (Value, Value) {
    match pace {
        Pace::Closed(streams) => (
            json!({ "kind": "concurrent", "streams": [streams] }),
            json!({ "type_": "concurrent", "streams": streams }),
        ),
        Pace::Constant(rate) => (
            json!({ "kind": "constant", "rate": [rate] }),
            json!({ "type_": "constant", "rate": rate }),
        ),
        Pace::Poisson(rate) => (
            json!({ "kind": "poisson", "rate": [rate] }),
            json!({ "type_": "poisson", "rate": rate }),
        ),
        Pace::AtOnce | Pace::Gamma(..) | Pace::Other => (
            json!({ "kind": "replay", "schedule_turn": "timestamp" }),
            json!({ "type_": "trace", "schedule_turn": "timestamp" }),
        ),
    }
}

fn backend(run: &Run) -> Value {
    let endpoint = run.load().map_or(Endpoint::Chat, RecordedLoad::endpoint);
    let format = match endpoint {
        Endpoint::Chat => "/v1/chat/completions",
        Endpoint::Completions => "/v1/completions",
    };
    let target = run
        .load()
        .and_then(|load| load.url.as_deref())
        .unwrap_or_default();
    json!({
        "kind": "openai_http",
        "target": target,
        "model": run.model().unwrap_or_default(),
        "request_format": format,
    })
}

fn scheduler_state(run: &Run, window: Window) -> Value {
    let (successful, errored) = run.counts();
    json!({
        "start_time": window.start_s,
        "end_time": window.end_s,
        "start_requests_time": window.start_s,
        "end_requests_time": window.end_s,
        "created_requests": successful + errored,
        "processed_requests": successful + errored,
        "successful_requests": successful,
        "errored_requests": errored,
    })
}

fn scheduler_metrics(run: &Run, window: Window, strategy: &Value) -> Value {
    let unknown = [
        "queued_time_avg",
        "resolve_start_delay_avg",
        "resolve_targeted_start_delay_avg",
        "request_start_delay_avg",
        "request_targeted_start_delay_avg",
        "request_time_avg",
        "resolve_end_delay_avg",
        "resolve_time_avg",
        "finalized_delay_avg",
        "processed_delay_avg",
    ];
    let mut metrics = json!({
        "start_time": window.start_s,
        "request_start_time": window.start_s,
        "measure_start_time": window.start_s,
        "measure_end_time": window.end_s,
        "request_end_time": window.end_s,
        "end_time": window.end_s,
        "requests_made": totals(run),
        "strategy_type": strategy["type_"],
    });
    for name in unknown {
        metrics[name] = json!(-1.0);
    }
    metrics
}
