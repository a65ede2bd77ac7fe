//! A row of a result file: one request. It is written and read by the same definition.

#[cfg(test)]
use super::columns::Section;
use super::columns::{Field, RowColumn};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Declares `Row` and the table of its columns: the section of the book, the name and the unit of
/// each. The comment of a field describes its column, first in short, and in detail behind an empty
/// line.
macro_rules! row {
    ($($(#[doc = $description:literal])+
    $section:ident $name:literal $unit:literal $field:ident: $type:ty,)+) => {
        /// One request. Moments are in seconds from the start of the experiment, and durations in
        /// seconds. A failed request has its moments and no measures.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Row {
            $($(#[doc = $description])+
            #[serde(rename = $name)]
            pub $field: $type,)+
            /// The test case, in CSVs of LMCache's Python tests; lmrun does not write it.
            #[serde(skip_serializing)]
            pub case_id: Option<usize>,
            /// The line in the file, from 1; 0 if it was not read from a file.
            #[serde(skip)]
            pub line: u64,
        }

        /// The columns of a row, in their order.
        pub(crate) const COLUMNS: &[RowColumn] = &[$(RowColumn {
            name: $name,
            unit: $unit,
            cell_type: <$type as Field>::CELL_TYPE,
            #[cfg(test)]
            section: Section::$section,
            #[cfg(test)]
            description: &[$($description),+],
        },)+];
    };
}

row! {
    /// The number of the experiment within its test, from 0.
    Origin "expr_id" "" expr_id: Option<usize>,
    /// The time at which the workload plans the request; `planned_s` if the end of another request
    /// decides.
    Moments "timestamp" "s" timestamp: f64,
    /// The number of the engine within its experiment, from 0.
    Origin "engine_id" "" engine_id: usize,
    /// The number of the request within its workload, from 0.
    Origin "request_id" "" request_id: usize,
    /// Time to first token: `first_token_s − sent_s`.
    Durations "TTFT" "s" ttft: Option<f64>,
    /// Output tokens per second: `output_tokens / (last_token_s − first_token_s)`. Empty for one
    /// token.
    ///
    /// This is the formula of the Python tests, with *n* tokens over *n − 1* gaps.
    Durations "throughput" "tokens/s" throughput: Option<f64>,
    /// End-to-end latency: `last_token_s − sent_s`.
    Durations "latency" "s" latency: Option<f64>,
    /// Tokens of the context, as configured. In a conversation it includes all earlier turns.
    Tokens "context_len" "tokens" context_len: u64,
    /// Tokens of the query, as configured.
    Tokens "query_len" "tokens" query_len: u64,
    /// Memory used on each GPU of the engine at the last reading before the request ended, as JSON:
    /// `{"gpu-0":40321}`. `{}` if it cannot be read.
    ///
    /// See [GPU memory](#gpu-memory).
    Outcome "gpu_memory" "MiB" gpu_memory: Arc<str>,
    /// The name of the engine.
    Origin "engine" "" engine: Arc<str>,
    /// The program of the engine: `vllm`, `llamacpp`, `sim`.
    Origin "engine_kind" "" engine_kind: Arc<str>,
    /// `true` if the engine is simulated.
    Origin "simulated" "" simulated: bool,
    /// The model that the request named.
    Origin "model" "" model: Arc<str>,
    /// The user, conversation or document that the request belongs to, from 0.
    Origin "session" "" session: u64,
    /// The number of the request within its session, from 0.
    Origin "turn" "" turn: u64,
    /// The source of `context_len` and `query_len`: `rule`, `tokenizer`, `engine`, or `other_model`
    /// for an engine with another model.
    ///
    /// See [the length of prompts](../guide/workloads.md#how-long-a-prompt-is).
    Tokens "context_len_from" "" context_len_from: Cow<'static, str>,
    /// `ok` or `failed`.
    Outcome "status" "" status: Status,
    /// The reason of the failure.
    Outcome "error" "" error: Option<String>,
    /// The HTTP status.
    Outcome "http_status" "" http_status: Option<u16>,
    /// The `x-request-id` header of the request, to find it in the engine's log.
    Origin "x_request_id" "" x_request_id: String,
    /// Tokens of the prompt, as the engine counted them, including its chat template.
    Tokens "prompt_tokens" "tokens" prompt_tokens: Option<u64>,
    /// Cached tokens of the prompt, as the engine counted them. Empty if it does not report them.
    ///
    /// This is `prompt_tokens_details.cached_tokens`. SGLang reports only hits: without a report it
    /// is 0. vLLM counts its own prefix cache and LMCache together.
    Tokens "cached_tokens" "tokens" cached_tokens: Option<u64>,
    /// Generated tokens, as the engine counted them (`usage`), otherwise the number of chunks.
    ///
    /// With `n` > 1 it counts all answers of the request; `itl_…` and `icl_…` are then the gaps of
    /// the whole stream.
    Tokens "output_tokens" "tokens" output_tokens: Option<u64>,
    /// The source of `output_tokens`: `usage` or `chunks`.
    Tokens "output_tokens_from" "" output_tokens_from: Option<Cow<'static, str>>,
    /// The number of chunks with output.
    Tokens "chunks" "" chunks: usize,
    /// The source of the number of tokens in each chunk: `count`, `usage`, `token_ids` or `timings`.
    /// Empty if it is unknown.
    ///
    /// `count`: there are as many chunks as tokens. The others are fields that the engine sends with
    /// each chunk: `usage` (vLLM, SGLang and the simulator with `continuous_usage_stats: true`),
    /// `token_ids` (vLLM with `extra_body: #{ return_token_ids: true }`), `timings` (llama.cpp with
    /// `extra_body: #{ timings_per_token: true }`).
    Tokens "chunk_tokens_from" "" chunk_tokens_from: Option<Cow<'static, str>>,
    /// The reason that the engine gives for the end of the generation, such as `stop` or `length`.
    ///
    /// If it begins with `=`, `+`, `-` or `@`, a `'` precedes it, so that a spreadsheet does not take
    /// it for a formula.
    Outcome "finish_reason" "" finish_reason: Option<String>,
    /// Time per output token: `(last_token_s − first_token_s) / (output_tokens − 1)`. Empty for one
    /// token.
    Durations "tpot_s" "s" tpot_s: Option<f64>,
    /// Mean inter-token latency: the mean gap between tokens. Empty if `chunk_tokens_from` is.
    Durations "itl_mean_s" "s" itl_mean_s: Option<f64>,
    /// Median gap between tokens.
    Durations "itl_p50_s" "s" itl_p50_s: Option<f64>,
    /// 99th percentile of the gaps between tokens.
    Durations "itl_p99_s" "s" itl_p99_s: Option<f64>,
    /// Largest gap between tokens.
    Durations "itl_max_s" "s" itl_max_s: Option<f64>,
    /// Mean inter-chunk latency: the mean gap between chunks, for any number of tokens in them.
    Durations "icl_mean_s" "s" icl_mean_s: Option<f64>,
    /// Largest gap between chunks.
    Durations "icl_max_s" "s" icl_max_s: Option<f64>,
    /// TTFT from the planned time: `first_token_s − planned_s`.
    ///
    /// This is the TTFT of a user who came at that time.
    Durations "ttft_from_planned_s" "s" ttft_from_planned_s: Option<f64>,
    /// Latency from the planned time: `last_token_s − planned_s`.
    Durations "latency_from_planned_s" "s" latency_from_planned_s: Option<f64>,
    /// The time at which the request was due: its time in the schedule, or the end of the request
    /// that it waits for.
    Moments "planned_s" "s" planned_s: Option<f64>,
    /// The time at which it was handed to the socket.
    Moments "sent_s" "s" sent_s: Option<f64>,
    /// The time at which the response headers arrived.
    Moments "headers_s" "s" headers_s: Option<f64>,
    /// The first event with a choice, even if it holds only the role.
    Moments "first_chunk_s" "s" first_chunk_s: Option<f64>,
    /// The first output that is not empty: content, reasoning, refusal or tool call.
    Moments "first_token_s" "s" first_token_s: Option<f64>,
    /// The first content that is not empty.
    ///
    /// It is later than `first_token_s` for a model that reasons first.
    Moments "first_answer_s" "s" first_answer_s: Option<f64>,
    /// The last output.
    Moments "last_token_s" "s" last_token_s: Option<f64>,
    /// The end of the stream, `[DONE]`.
    ///
    /// If the connection breaks after it, the answer is complete.
    Moments "done_s" "s" done_s: Option<f64>,
    /// The time by which lmrun sent it late: `sent_s − planned_s`.
    Durations "send_lag_s" "s" send_lag_s: Option<f64>,
    /// The longest time that received bytes waited in the socket before lmrun read them.
    ///
    /// The kernel's stamp is that of the last segment of a read, so earlier ones may have waited for
    /// longer.
    Durations "read_lag_s" "s" read_lag_s: f64,
    /// `true` if the connection was not open yet when the request was due.
    Outcome "connected_late" "" connected_late: bool,
    /// `true` if it was sent again on a new connection, because the server had just closed the idle
    /// one. `sent_s` is the first send.
    Outcome "resent" "" resent: bool,
    /// The time at which the workload's schedule wanted it sent, before any wait for an earlier
    /// request. Empty if the schedule has no time for it.
    ///
    /// That is the case in a closed loop, and for a turn that follows an answer.
    Moments "intended_s" "s" intended_s: Option<f64>,
    /// The time at which it ended, with an answer or with a failure.
    Moments "ended_s" "s" ended_s: Option<f64>,
    /// The longest time for which lmrun's sending thread did not run while the request was in
    /// flight. Empty if it was not sent.
    Durations "stall_s" "s" stall_s: Option<f64>,
    /// The number of chunks that have the stamp of an earlier chunk, because lmrun read them
    /// together.
    Tokens "chunks_joined" "" chunks_joined: usize,
    /// The number of `chunks_joined` that arrived while the sending thread did not run.
    Tokens "chunks_stalled" "" chunks_stalled: usize,
    /// The time by which the stamp of the first token may be late, because the sending thread did
    /// not run.
    Durations "ttft_late_s" "s" ttft_late_s: Option<f64>,
    /// `false` if the experiment is invalid; the manifest has the reasons. Empty until the test has
    /// ended, and after a kill.
    ///
    /// See [the client's own error](#the-clients-own-error).
    Outcome "valid" "" valid: Option<bool>,
}

/// The end of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", from = "Cow<str>")]
pub enum Status {
    /// A complete answer.
    #[default]
    Ok,
    /// Anything else.
    Failed,
}

impl From<Cow<'_, str>> for Status {
    fn from(text: Cow<str>) -> Self {
        match &*text {
            "ok" => Self::Ok,
            _ => Self::Failed,
        }
    }
}

impl Row {
    /// Returns true if the request got a complete answer.
    pub fn is_ok(&self) -> bool {
        self.status == Status::Ok && self.error.is_none()
    }

    /// The name of the engine, marked if it is simulated.
    pub(crate) fn engine_label(&self) -> String {
        engine_label(&self.engine, self.simulated)
    }

    /// Memory used on each GPU, MiB; `None` if the cell is empty or is not JSON of numbers.
    pub(crate) fn gpus(&self) -> Option<BTreeMap<String, f64>> {
        serde_json::from_str(&self.gpu_memory).ok()
    }
}

/// Returns the name of an engine, marked if it is simulated: simulated numbers must not look like
/// real ones.
pub(crate) fn engine_label(name: &str, simulated: bool) -> String {
    let mark = if simulated { " (simulated)" } else { "" };
    format!("{name}{mark}")
}
