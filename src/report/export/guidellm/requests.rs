//! The requests of a report of guidellm.

use super::super::run::Run;
use crate::core::Row;
use serde_json::{Value, json};

/// The requests by their status.
pub fn requests(run: &Run) -> Value {
    let (successful, errored): (Vec<&Row>, Vec<&Row>) =
        run.all().iter().partition(|row| row.is_ok());
    let all = |rows: Vec<&Row>| rows.into_iter().map(request).collect::<Vec<_>>();
    json!({ "successful": all(successful), "errored": all(errored), "incomplete": [], "total": null })
}

fn request(row: &Row) -> Value {
    let id = match &*row.x_request_id {
        "" => row.request_id.to_string(),
        id => id.to_owned(),
    };
    let start_s = row.sent_s.or(row.planned_s);
    let end_s = row.ended_s.or(start_s);
    json!({
        "request_id": id,
        "info": {
            "request_id": id,
            "status": if row.is_ok() { "completed" } else { "errored" },
            "error": row.error,
            "timings": {
                "targeted_start": row.planned_s,
                "resolve_start": start_s,
                "request_start": row.sent_s,
                "first_token_iteration": row.first_token_s,
                "first_output_token_iteration": row.first_answer_s,
                "last_token_iteration": row.last_token_s,
                "token_iterations": row.chunks,
                "request_end": end_s,
                "resolve_end": end_s,
            },
        },
        "input_metrics": { "text_tokens": row.prompt_tokens, "cached_tokens": row.cached_tokens },
        "output_metrics": { "text_tokens": row.output_tokens },
    })
}
