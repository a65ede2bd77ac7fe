//! The requests of a report of guidellm.

use super::super::run::{Run, ended_s};
use crate::core::result::Record;
use serde_json::{Value, json};

/// The requests by their status.
pub fn requests(run: &Run) -> Value {
    let (successful, errored): (Vec<&Record>, Vec<&Record>) =
        run.all().iter().partition(|record| record.is_ok());
    let all = |records: Vec<&Record>| records.into_iter().map(request).collect::<Vec<_>>();
    json!({ "successful": all(successful), "errored": all(errored), "incomplete": [], "total": null })
}

fn request(record: &Record) -> Value {
    let id = record
        .x_request_id
        .clone()
        .unwrap_or_else(|| record.request_id.to_string());
    let start_s = record.sent_s.or(record.planned_s);
    let end_s = ended_s(record).or(start_s);
    json!({
        "request_id": id,
        "info": {
            "request_id": id,
            "status": if record.is_ok() { "completed" } else { "errored" },
            "error": record.error,
            "timings": {
                "targeted_start": record.planned_s,
                "resolve_start": start_s,
                "request_start": record.sent_s,
                "first_token_iteration": record.first_token_s,
                "first_output_token_iteration": record.first_answer_s,
                "last_token_iteration": record.last_token_s,
                "token_iterations": record.chunks.unwrap_or(0),
                "request_end": end_s,
                "resolve_end": end_s,
            },
        },
        "input_metrics": { "text_tokens": record.prompt_tokens, "cached_tokens": record.cached_tokens },
        "output_metrics": { "text_tokens": record.output_tokens },
    })
}
