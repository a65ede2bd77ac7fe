//! The report of guidellm, `benchmarks.json`, in version 2: with one benchmark.

mod frame;
mod metrics;
mod over_time;
mod requests;
mod summary;

pub use frame::fields;

/// Remarks on fields that are missing or that differ from the tool's own.
pub const REMARKS: &[(&str, &str)] = &[
    (
        "times",
        "seconds from the start of the experiment; the tool's are Unix times",
    ),
    (
        "time_to_first_output_token_ms",
        "to the first content; the tool takes a tool call as well",
    ),
    (
        "errored",
        "only what the rows have; the tool counts what a failed request lacks as 0",
    ),
    (
        "request_start",
        "the tool's is a little earlier, before it opens the stream",
    ),
    (
        "request_streaming_iterations_count",
        "without values: a row counts only the events with output",
    ),
    (
        "time_to_last_round_trip_ms, avg_round_trip_time_ms",
        "without values: they are of WebSockets",
    ),
    (
        "text, image, video, audio, tool_call, turns",
        "left out: a row does not tell them",
    ),
    (
        "request_dispatch_delay, request_scheduled_latency, …_ci",
        "left out",
    ),
    (
        "scheduler_metrics",
        "-1, as the tool writes what it does not know",
    ),
];
