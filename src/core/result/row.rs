//! One request as a row: what the CSV holds.

use crate::core::workload::Request;
use crate::core::{Distribution, RepeatedValues};
use crate::driver::clock::Stamp;
use crate::driver::http::{Arrival, Exchange, SendJob};
use serde::Serialize;
use std::sync::Arc;

/// What a request belongs to.
#[derive(Clone, Debug)]
pub struct RowContext {
    /// The number of the experiment within its test.
    pub expr_id: usize,
    /// The number of the engine within its experiment.
    pub engine_id: usize,
    /// The engine's name.
    pub engine: Arc<str>,
    /// The engine's kind.
    pub engine_kind: Arc<str>,
    /// Whether the engine is simulated.
    pub simulated: bool,
    /// The model.
    pub model: Arc<str>,
    /// Who counted the tokens that were asked for.
    pub context_len_from: &'static str,
    /// True if the engine reports cached tokens only for hits.
    pub reports_only_hits: bool,
    /// The start of the experiment.
    pub start: Stamp,
}

/// One request. Seconds everywhere; points in time count from the start of the experiment.
///
/// The first ten columns are those of LMCache's Python tests, in their order. A measure that
/// was not made is empty.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// The experiment within its test, from 0.
    pub expr_id: usize,
    /// When the workload plans the request; `planned_s` where the end of another decides.
    pub timestamp: f64,
    /// The engine within its experiment, from 0.
    pub engine_id: usize,
    /// The request within its workload, from 0.
    pub request_id: usize,
    /// Time to first token: `first_token_s - sent_s`.
    #[serde(rename = "TTFT")]
    pub ttft: Option<f64>,
    /// Output tokens a second: `output_tokens / (last_token_s - first_token_s)`; empty for one token.
    pub throughput: Option<f64>,
    /// `last_token_s - sent_s`.
    pub latency: Option<f64>,
    /// Tokens of the context, as configured; of a conversation, with what was said before.
    pub context_len: u64,
    /// Tokens of the query, as configured.
    pub query_len: u64,
    /// MiB used on each GPU at the last reading before the request ended, as JSON.
    pub gpu_memory: Arc<str>,
    /// The engine's name.
    pub engine: Arc<str>,
    /// Which program it is.
    pub engine_kind: Arc<str>,
    /// Whether its numbers are made up.
    pub simulated: bool,
    /// The model.
    pub model: Arc<str>,
    /// The user, conversation or document that the request belongs to, from 0.
    pub session: u64,
    /// Which request of its session it is, from 0.
    pub turn: u64,
    /// Who counted `context_len` and `query_len`: `rule`, `tokenizer`, `engine`, or an engine with
    /// `other_model`.
    pub context_len_from: &'static str,
    /// `ok` or `failed`.
    pub status: &'static str,
    /// Why it failed.
    pub error: Option<String>,
    /// The HTTP status.
    pub http_status: Option<u16>,
    /// The `x-request-id` that it carried.
    pub x_request_id: String,
    /// Tokens of the prompt, by the engine's count.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the prompt that a cache held, by the engine's count; empty where it does not tell.
    pub cached_tokens: Option<u64>,
    /// Tokens generated.
    pub output_tokens: Option<u64>,
    /// Where `output_tokens` is from: `usage` of the engine, or counted `chunks`.
    pub output_tokens_from: Option<&'static str>,
    /// Chunks with output.
    pub chunks: usize,
    /// How the tokens of each chunk are known: `count`, as there are as many of both, or the field of the
    /// engine's that tells, `usage`, `token_ids` or `timings`; empty where they are not.
    pub chunk_tokens_from: Option<&'static str>,
    /// Why the generation ended.
    pub finish_reason: Option<String>,
    /// Time per output token: `(last_token_s - first_token_s) / (output_tokens - 1)`.
    pub tpot_s: Option<f64>,
    /// Mean gap between tokens, where it is known how many each chunk has.
    pub itl_mean_s: Option<f64>,
    /// Median gap between tokens.
    pub itl_p50_s: Option<f64>,
    /// 99th percentile of the gaps between tokens.
    pub itl_p99_s: Option<f64>,
    /// Largest gap between tokens.
    pub itl_max_s: Option<f64>,
    /// Mean gap between chunks, whatever they hold.
    pub icl_mean_s: Option<f64>,
    /// Largest gap between chunks.
    pub icl_max_s: Option<f64>,
    /// `first_token_s - planned_s`: TTFT as a user feels it who came when planned.
    pub ttft_from_planned_s: Option<f64>,
    /// `last_token_s - planned_s`.
    pub latency_from_planned_s: Option<f64>,
    /// When it was due.
    pub planned_s: f64,
    /// When it was handed to the socket.
    pub sent_s: Option<f64>,
    /// When the response headers arrived.
    pub headers_s: Option<f64>,
    /// The first event with a choice, be it only the role.
    pub first_chunk_s: Option<f64>,
    /// The first non-empty output: content, reasoning or tool call.
    pub first_token_s: Option<f64>,
    /// The first non-empty content.
    pub first_answer_s: Option<f64>,
    /// The last output.
    pub last_token_s: Option<f64>,
    /// `[DONE]`.
    pub done_s: Option<f64>,
    /// `sent_s - planned_s`: how late the client was.
    pub send_lag_s: Option<f64>,
    /// The longest that received bytes lay in the socket before the client read them.
    pub read_lag_s: f64,
    /// Whether the connection was not open yet when the request was due.
    pub connected_late: bool,
    /// Whether it was sent again, because the server had closed an idle connection.
    pub resent: bool,
    /// The time at which the workload's schedule wanted it sent; empty if the schedule has no time for this
    /// request.
    pub intended_s: Option<f64>,
    /// The time at which it ended, with an answer or not.
    pub ended_s: Option<f64>,
    /// The longest time for which the client's sending thread did not run while the request was in flight.
    pub stall_s: Option<f64>,
    /// Chunks that were read together with an earlier one: both have one stamp.
    pub chunks_joined: usize,
    /// The number of `chunks_joined` that came while the sending thread did not run.
    pub chunks_stalled: usize,
    /// The time by which the stamp of the first token may be too late, because the sending thread did not
    /// run.
    pub ttft_late_s: Option<f64>,
    /// True if the numbers of its experiment can be believed; empty until its test has ended.
    pub valid: Option<bool>,
}

impl Row {
    /// The names of the columns, in their order.
    pub fn columns() -> Vec<String> {
        let fields = serde_json::to_value(Self::default()).unwrap_or_default();
        fields
            .as_object()
            .map_or_else(Vec::new, |fields| fields.keys().cloned().collect())
    }

    /// The row of a request that has ended. A failed one keeps its moments, and has no measures.
    pub fn new(
        context: &RowContext,
        job: &SendJob,
        request: &Request,
        x_request_id: String,
        gpu_memory: Arc<str>,
        seen: &Exchange,
    ) -> Self {
        let at =
            |arrival: Option<Arrival>| arrival.map(|arrival| arrival.at().since_s(context.start));
        let sent_s = seen.sent.map(|sent| sent.since_s(context.start));
        let measures = Measures::of(seen);
        let usage = seen.usage.unwrap_or_default();
        let planned_s = job.due.since_s(context.start);
        let from_planned = |moment: Option<f64>| moment.map(|moment| moment - planned_s);
        let is_free = request.after.is_none() && request.round == 0;
        let first_token_s = at(seen.first_token);
        let last_token_s = seen.chunks.last().map(|last| last.since_s(context.start));
        let ok = seen.failure.is_none();
        Self {
            expr_id: context.expr_id,
            timestamp: request.timestamp.filter(|_| is_free).unwrap_or(planned_s),
            engine_id: context.engine_id,
            request_id: job.index,
            ttft: measures.ttft,
            throughput: measures.throughput,
            latency: measures.latency,
            context_len: request.context_len,
            query_len: request.query_len,
            gpu_memory,
            engine: context.engine.clone(),
            engine_kind: context.engine_kind.clone(),
            simulated: context.simulated,
            model: context.model.clone(),
            session: request.session,
            turn: request.turn,
            context_len_from: context.context_len_from,
            status: if ok { "ok" } else { "failed" },
            error: seen.failure.as_ref().map(ToString::to_string),
            http_status: seen.status,
            x_request_id,
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: cached_tokens(context, seen),
            output_tokens: measures.output_tokens,
            output_tokens_from: measures.output_tokens_from,
            chunks: seen.chunks.len(),
            chunk_tokens_from: measures.chunk_tokens_from,
            finish_reason: seen.finish_reason.as_deref().map(inert),
            tpot_s: measures.tpot,
            itl_mean_s: measures.itl.mean(),
            itl_p50_s: measures.itl.percentile(50.0),
            itl_p99_s: measures.itl.percentile(99.0),
            itl_max_s: measures.itl.max(),
            icl_mean_s: measures.icl.mean(),
            icl_max_s: measures.icl.max(),
            ttft_from_planned_s: from_planned(first_token_s).filter(|_| ok),
            latency_from_planned_s: from_planned(last_token_s).filter(|_| ok),
            planned_s,
            sent_s,
            headers_s: at(seen.headers),
            first_chunk_s: at(seen.first_chunk),
            first_token_s,
            first_answer_s: at(seen.first_answer),
            last_token_s,
            done_s: at(seen.done),
            send_lag_s: from_planned(sent_s),
            read_lag_s: seen.read_lag_s,
            connected_late: seen.connected_late,
            resent: seen.resent,
            intended_s: job.intended.map(|intended| intended.since_s(context.start)),
            ended_s: seen.ended.map(|ended| ended.since_s(context.start)),
            stall_s: seen.sent.map(|_| seen.stalled.longest_s),
            chunks_joined: seen.joined().count(),
            chunks_stalled: seen.stalled.chunks,
            ttft_late_s: seen.first_token.map(|_| seen.stalled.first_token_late_s),
            valid: None,
        }
    }

    /// Whether it was answered whole.
    pub fn is_ok(&self) -> bool {
        self.error.is_none()
    }
}

/// Returns a word of the engine's in a form that spreadsheets do not take for a formula.
fn inert(word: &str) -> String {
    let is_formula = word.starts_with(['=', '+', '-', '@']);
    if is_formula {
        format!("'{word}")
    } else {
        word.to_owned()
    }
}

/// Returns the cached tokens that the engine reports; `None` if they are more than the prompt has. An engine
/// that reports only hits had none if it counted the prompt of a complete answer and reports nothing.
fn cached_tokens(context: &RowContext, seen: &Exchange) -> Option<u64> {
    let usage = seen.usage?;
    let reported = usage
        .prompt_tokens_details
        .and_then(|details| details.cached_tokens);
    let is_miss =
        context.reports_only_hits && seen.failure.is_none() && usage.prompt_tokens.is_some();
    let is_possible = |cached: &u64| usage.prompt_tokens.is_none_or(|prompt| *cached <= prompt);
    reported.or(is_miss.then_some(0)).filter(is_possible)
}

/// The durations of a complete answer.
#[derive(Default)]
struct Measures {
    ttft: Option<f64>,
    latency: Option<f64>,
    throughput: Option<f64>,
    tpot: Option<f64>,
    output_tokens: Option<u64>,
    output_tokens_from: Option<&'static str>,
    chunk_tokens_from: Option<&'static str>,
    itl: RepeatedValues,
    icl: Distribution,
}

impl Measures {
    fn of(seen: &Exchange) -> Self {
        let (None, Some(sent), Some(first), Some(last)) = (
            &seen.failure,
            seen.sent,
            seen.first_token,
            seen.chunks.last(),
        ) else {
            return Self::default();
        };
        let reported = seen.usage.and_then(|usage| usage.completion_tokens);
        let tokens = reported.unwrap_or(seen.chunks.len() as u64);
        let decode_s = last.since_s(first.at());
        let several = tokens > 1 && decode_s > 0.0;
        let gaps_s = seen.chunks.windows(2).map(|pair| pair[1].since_s(pair[0]));
        let chunk_tokens = chunk_tokens(seen, reported);
        Self {
            ttft: Some(first.at().since_s(sent)),
            latency: Some(last.since_s(sent)),
            throughput: several.then(|| tokens as f64 / decode_s),
            tpot: several.then(|| decode_s / (tokens - 1) as f64),
            output_tokens: Some(tokens),
            output_tokens_from: Some(if reported.is_some() {
                "usage"
            } else {
                "chunks"
            }),
            chunk_tokens_from: chunk_tokens.as_ref().map(|(from, _)| *from),
            itl: chunk_tokens.map_or_else(RepeatedValues::default, |(_, tokens)| {
                token_gaps(&seen.chunks, &tokens)
            }),
            icl: gaps_s.collect(),
        }
    }
}

/// How many tokens each chunk had, and who tells it.
fn chunk_tokens(seen: &Exchange, reported: Option<u64>) -> Option<(&'static str, Vec<u64>)> {
    let chunks = seen.chunks.len();
    if one_token_a_chunk(seen, reported) {
        Some(("count", vec![1; chunks]))
    } else {
        seen.chunk_tokens.per_chunk(chunks)
    }
}

/// The gaps between tokens. The tokens of a chunk share the gap before it, and that before chunks without a
/// token; those of the first chunk came together. Of chunks that were read together only the last came at
/// the moment of their stamp: a gap that begins or ends at another is unknown, and skipped.
fn token_gaps(chunks: &[Stamp], tokens: &[u64]) -> RepeatedValues {
    let is_read_with_next = |i: usize| chunks.get(i + 1) == Some(&chunks[i]);
    let together = tokens.first().map_or(0, |first| first.saturating_sub(1));
    let mut gaps = vec![(0.0, together)];
    let mut before = chunks.first().copied().filter(|_| !is_read_with_next(0));
    for (i, count) in tokens
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, count)| **count > 0)
    {
        let is_joined = chunks[i] == chunks[i - 1];
        let is_known = !is_joined && !is_read_with_next(i);
        if let Some(before) = before.filter(|_| is_known) {
            gaps.push((chunks[i].since_s(before) / *count as f64, *count));
        }
        before = Some(chunks[i]).filter(|_| !is_read_with_next(i));
    }
    gaps.into_iter().collect()
}

/// A chunk is one token where there are as many of both; the token that ends a generation may
/// have no chunk of its own.
fn one_token_a_chunk(seen: &Exchange, reported: Option<u64>) -> bool {
    let chunks = seen.chunks.len() as u64;
    let ended_by_token = seen.finish_reason.as_deref() == Some("stop");
    reported.is_some_and(|tokens| tokens == chunks || (ended_by_token && tokens == chunks + 1))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::driver::http::{ChunkTokens, Failure, PromptDetails, TokenCount, Usage};

    pub(crate) fn context() -> RowContext {
        RowContext {
            expr_id: 1,
            engine_id: 0,
            engine: "e".into(),
            engine_kind: "k".into(),
            simulated: false,
            model: "m".into(),
            context_len_from: "rule",
            reports_only_hits: false,
            start: Stamp(1_000_000_000),
        }
    }

    fn at_s(seconds: f64) -> Stamp {
        context().start.plus_s(seconds)
    }

    fn arrival(seconds: f64) -> Arrival {
        Arrival {
            kernel: Some(at_s(seconds)),
            read: at_s(seconds + 0.25),
        }
    }

    fn seen() -> Exchange {
        Exchange {
            sent: Some(at_s(8.5)),
            headers: Some(arrival(8.75)),
            status: Some(200),
            first_chunk: Some(arrival(9.0)),
            first_token: Some(arrival(10.5)),
            first_answer: Some(arrival(10.5)),
            chunks: vec![at_s(10.5), at_s(11.0), at_s(12.5)],
            done: Some(arrival(12.75)),
            ended: Some(at_s(12.75)),
            usage: Some(Usage {
                completion_tokens: Some(3),
                ..Usage::default()
            }),
            ..Exchange::default()
        }
    }

    fn row(seen: &Exchange) -> Row {
        let request = Request {
            timestamp: Some(8.0),
            context_len: 8192,
            query_len: 16,
            ..Request::default()
        };
        let job = SendJob {
            index: 1,
            due: at_s(8.0),
            intended: Some(at_s(7.0)),
            unsent: None,
        };
        Row::new(&context(), &job, &request, "id".into(), "{}".into(), seen)
    }

    #[test]
    fn durations_are_between_the_kernels_stamps() {
        let row = row(&seen());
        assert_eq!((row.ttft, row.latency), (Some(2.0), Some(4.0)));
        assert_eq!((row.throughput, row.tpot_s), (Some(1.5), Some(1.0)));
        assert_eq!(
            (row.itl_mean_s, row.itl_p50_s, row.itl_max_s),
            (Some(1.0), Some(1.0), Some(1.5))
        );
        assert_eq!(
            (row.ttft_from_planned_s, row.send_lag_s),
            (Some(2.5), Some(0.5))
        );
        assert_eq!(
            (row.sent_s, row.headers_s, row.done_s),
            (Some(8.5), Some(8.75), Some(12.75))
        );
        assert_eq!(
            (row.planned_s, row.intended_s, row.ended_s),
            (8.0, Some(7.0), Some(12.75))
        );
        assert_eq!(
            (row.output_tokens, row.output_tokens_from),
            (Some(3), Some("usage"))
        );
        assert_eq!(row.chunk_tokens_from, Some("count"));
    }

    #[test]
    fn several_tokens_a_chunk_have_no_inter_token_latency() {
        let usage = Some(Usage {
            completion_tokens: Some(12),
            ..Usage::default()
        });
        let row = row(&Exchange { usage, ..seen() });
        assert_eq!(
            (row.itl_mean_s, row.icl_mean_s, row.icl_max_s),
            (None, Some(1.0), Some(1.5))
        );
        assert_eq!((row.throughput, row.chunk_tokens_from), (Some(6.0), None));
    }

    #[test]
    fn where_the_engine_counts_each_chunk_several_tokens_have_gaps() {
        let mut chunk_tokens = ChunkTokens::default();
        for n in [2, 2, 5] {
            chunk_tokens.add(TokenCount::SoFar("usage", n));
            chunk_tokens.end_chunk();
        }
        let usage = Some(Usage {
            completion_tokens: Some(5),
            ..Usage::default()
        });
        let row = row(&Exchange {
            chunk_tokens,
            usage,
            ..seen()
        });
        // Two at first, none after 0.5 s, three after 1.5 s more: n - 1 gaps that make up the whole.
        assert_eq!(
            (row.itl_mean_s, row.itl_max_s),
            (Some(0.5), Some(2.0 / 3.0))
        );
        assert_eq!(
            (row.chunk_tokens_from, row.tpot_s),
            (Some("usage"), Some(0.5))
        );
    }

    #[test]
    fn chunks_that_were_read_together_have_no_gap() {
        let chunks = [10.5, 11.0, 12.0, 12.0, 12.0, 12.5].map(at_s).to_vec();
        let usage = Some(Usage {
            completion_tokens: Some(6),
            ..Usage::default()
        });
        let row = row(&Exchange {
            chunks,
            usage,
            ..seen()
        });
        // Known are the first gap, and the one behind the last of the three.
        assert_eq!(
            (row.chunks_joined, row.itl_mean_s, row.itl_max_s),
            (2, Some(0.5), Some(0.5))
        );
        assert_eq!((row.icl_max_s, row.tpot_s), (Some(1.0), Some(0.4)));
    }

    #[test]
    fn more_cached_tokens_than_the_prompt_has_are_unknown() {
        let cached = |cached_tokens| {
            let details = Some(PromptDetails {
                cached_tokens: Some(cached_tokens),
            });
            let usage = Usage {
                prompt_tokens: Some(100),
                prompt_tokens_details: details,
                ..Usage::default()
            };
            row(&Exchange {
                usage: Some(usage),
                ..seen()
            })
            .cached_tokens
        };
        assert_eq!((cached(100), cached(101)), (Some(100), None));
    }

    #[test]
    fn any_count_of_tokens_is_weighed_and_not_unfolded() {
        let mut chunk_tokens = ChunkTokens::default();
        for n in [1, 2, u64::MAX] {
            chunk_tokens.add(TokenCount::SoFar("usage", n));
            chunk_tokens.end_chunk();
        }
        let usage = Some(Usage {
            completion_tokens: Some(u64::MAX),
            ..Usage::default()
        });
        let row = row(&Exchange {
            chunk_tokens,
            usage,
            ..seen()
        });
        assert_eq!(
            (row.itl_p50_s, row.itl_max_s),
            (Some(1.5 / (u64::MAX - 2) as f64), Some(0.5))
        );
    }

    #[test]
    fn one_token_has_a_ttft_and_no_throughput() {
        let chunks = vec![at_s(10.5)];
        let usage = Some(Usage {
            completion_tokens: Some(1),
            ..Usage::default()
        });
        let row = row(&Exchange {
            chunks,
            usage,
            ..seen()
        });
        assert_eq!(
            (row.ttft, row.latency, row.throughput, row.tpot_s),
            (Some(2.0), Some(2.0), None, None)
        );
    }

    #[test]
    fn without_usage_chunks_are_counted_and_the_row_says_so() {
        let row = row(&Exchange {
            usage: None,
            ..seen()
        });
        assert_eq!(
            (row.output_tokens, row.output_tokens_from),
            (Some(3), Some("chunks"))
        );
        assert_eq!(row.itl_mean_s, None);
    }

    #[test]
    fn a_failure_keeps_its_moments_and_has_no_measures() {
        let failure = Some(Failure::NoDone { chunks: 3 });
        let row = row(&Exchange { failure, ..seen() });
        assert_eq!(
            (
                row.ttft,
                row.latency,
                row.throughput,
                row.latency_from_planned_s
            ),
            (None, None, None, None)
        );
        assert_eq!(
            (row.status, row.first_token_s, row.ended_s),
            ("failed", Some(10.5), Some(12.75))
        );
        assert_eq!(
            row.error.as_deref(),
            Some("the stream ended without [DONE], 3 chunks in")
        );
    }
}
