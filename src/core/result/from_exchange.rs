//! The row of a request that was measured.

use super::row::{Row, Status};
use crate::core::workload::Request;
use crate::core::{Distribution, RepeatedValues};
use crate::driver::clock::Stamp;
use crate::driver::http::{Arrival, Exchange, SendJob};
use std::borrow::Cow;
use std::sync::Arc;

/// The origin of the rows of one engine in one experiment.
#[derive(Clone, Debug)]
pub struct RowContext {
    /// The number of the experiment within its test.
    pub(crate) expr_id: usize,
    /// The number of the engine within its experiment.
    pub(crate) engine_id: usize,
    /// The engine's name.
    pub(crate) engine: Arc<str>,
    /// The engine's kind.
    pub(crate) engine_kind: Arc<str>,
    /// True if the engine is simulated.
    pub(crate) simulated: bool,
    /// The model.
    pub(crate) model: Arc<str>,
    /// The source of `context_len` and `query_len`.
    pub(crate) context_len_from: &'static str,
    /// True if the engine reports cached tokens only for hits.
    pub(crate) reports_only_hits: bool,
    /// The start of the experiment.
    pub(crate) start: Stamp,
}

/// A request that has ended, without its answer.
pub struct EndedRequest<'a> {
    /// Its job.
    pub(crate) job: &'a SendJob,
    /// Its content.
    pub(crate) request: &'a Request,
    /// Its `x-request-id` header.
    pub(crate) x_request_id: String,
    /// The last reading of the GPU memory, as JSON.
    pub(crate) gpu_memory: Arc<str>,
}

impl Row {
    /// Returns the row of `ended`. A failed request has its moments and no measures.
    pub(crate) fn new(context: &RowContext, ended: EndedRequest, exchange: &Exchange) -> Self {
        let EndedRequest { job, request, .. } = ended;
        let at = |moment: Stamp| moment.since_s(context.start);
        let arrived = |arrival: Option<Arrival>| arrival.map(|arrival| at(arrival.at()));
        let measures = Measures::from_exchange(exchange);
        let usage = exchange.usage.unwrap_or_default();
        let planned_s = at(job.due);
        let sent_s = exchange.sent.map(at);
        let first_token_s = arrived(exchange.first_token);
        let last_token_s = exchange.chunks.last().copied().map(at);
        let is_free = request.after.is_none() && request.round == 0;
        let ok = exchange.failure.is_none();
        Self {
            expr_id: Some(context.expr_id),
            timestamp: request.timestamp.filter(|_| is_free).unwrap_or(planned_s),
            engine_id: context.engine_id,
            request_id: job.index,
            ttft: measures.ttft,
            throughput: measures.throughput,
            latency: measures.latency,
            context_len: request.context_len,
            query_len: request.query_len,
            gpu_memory: ended.gpu_memory,
            engine: context.engine.clone(),
            engine_kind: context.engine_kind.clone(),
            simulated: context.simulated,
            model: context.model.clone(),
            session: request.session,
            turn: request.turn,
            context_len_from: context.context_len_from.into(),
            status: if ok { Status::Ok } else { Status::Failed },
            error: exchange.failure.as_ref().map(ToString::to_string),
            http_status: exchange.status,
            x_request_id: ended.x_request_id,
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: cached_tokens(context, exchange),
            output_tokens: measures.output_tokens,
            output_tokens_from: measures.output_tokens_from.map(Cow::Borrowed),
            chunks: exchange.chunks.len(),
            chunk_tokens_from: measures.chunk_tokens_from.map(Cow::Borrowed),
            finish_reason: exchange.finish_reason.as_deref().map(without_formula),
            tpot_s: measures.tpot,
            itl_mean_s: measures.itl.mean(),
            itl_p50_s: measures.itl.percentile(50.0),
            itl_p99_s: measures.itl.percentile(99.0),
            itl_max_s: measures.itl.max(),
            icl_mean_s: measures.icl.mean(),
            icl_max_s: measures.icl.max(),
            ttft_from_planned_s: first_token_s.filter(|_| ok).map(|s| s - planned_s),
            latency_from_planned_s: last_token_s.filter(|_| ok).map(|s| s - planned_s),
            planned_s: Some(planned_s),
            sent_s,
            headers_s: arrived(exchange.headers),
            first_chunk_s: arrived(exchange.first_chunk),
            first_token_s,
            first_answer_s: arrived(exchange.first_answer),
            last_token_s,
            done_s: arrived(exchange.done),
            send_lag_s: sent_s.map(|s| s - planned_s),
            read_lag_s: exchange.read_lag_s,
            connected_late: exchange.connected_late,
            resent: exchange.resent,
            intended_s: job.intended.map(at),
            ended_s: exchange.ended.map(at),
            stall_s: exchange.sent.map(|_| exchange.stalled.longest_s),
            chunks_joined: exchange.joined().count(),
            chunks_stalled: exchange.stalled.chunks,
            ttft_late_s: exchange
                .first_token
                .map(|_| exchange.stalled.first_token_late_s),
            valid: None,
            case_id: None,
            line: 0,
        }
    }
}

/// Returns the text of an engine in a form that spreadsheets do not take for a formula.
fn without_formula(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// Returns the cached tokens that the engine reports; `None` if they are more than the prompt has. An
/// engine that reports only hits had none if it counted the prompt of a complete answer and reports
/// nothing.
fn cached_tokens(context: &RowContext, exchange: &Exchange) -> Option<u64> {
    let usage = exchange.usage?;
    let details = usage.prompt_tokens_details;
    let reported = details.and_then(|details| details.cached_tokens);
    let is_miss =
        context.reports_only_hits && exchange.failure.is_none() && usage.prompt_tokens.is_some();
    let cached = reported.or(is_miss.then_some(0))?;
    let is_possible = usage.prompt_tokens.is_none_or(|prompt| cached <= prompt);
    is_possible.then_some(cached)
}

/// The durations of a complete answer, in seconds.
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
    fn from_exchange(exchange: &Exchange) -> Self {
        let (None, Some(sent), Some(first), Some(last)) = (
            &exchange.failure,
            exchange.sent,
            exchange.first_token,
            exchange.chunks.last(),
        ) else {
            return Self::default();
        };
        let reported = exchange.usage.and_then(|usage| usage.completion_tokens);
        let tokens = reported.unwrap_or(exchange.chunks.len() as u64);
        let mut measures = Self {
            ttft: Some(first.at().since_s(sent)),
            latency: Some(last.since_s(sent)),
            output_tokens: Some(tokens),
            ..Self::default()
        };
        measures.output_tokens_from = match reported {
            Some(_) => Some("usage"),
            None => Some("chunks"),
        };
        let decode_s = last.since_s(first.at());
        if tokens > 1 && decode_s > 0.0 {
            measures.throughput = Some(tokens as f64 / decode_s);
            measures.tpot = Some(decode_s / (tokens - 1) as f64);
        }
        if let Some((from, tokens)) = chunk_tokens(exchange, reported) {
            measures.chunk_tokens_from = Some(from);
            measures.itl = token_gaps(&exchange.chunks, &tokens);
        }
        let pairs = exchange.chunks.windows(2);
        measures.icl = pairs.map(|pair| pair[1].since_s(pair[0])).collect();
        measures
    }
}

/// Returns the number of tokens of each chunk, and the source of it.
fn chunk_tokens(exchange: &Exchange, reported: Option<u64>) -> Option<(&'static str, Vec<u64>)> {
    let chunks = exchange.chunks.len();
    if is_one_token_per_chunk(exchange, reported) {
        Some(("count", vec![1; chunks]))
    } else {
        exchange.chunk_tokens.per_chunk(chunks)
    }
}

/// Returns the gaps between tokens. The tokens of a chunk share the gap before it, and the gaps
/// before chunks without a token; the tokens of the first chunk came together. If chunks were read
/// together, only the last came at the moment of their stamp: a gap from or to another one is
/// unknown, and skipped.
fn token_gaps(chunks: &[Stamp], tokens: &[u64]) -> RepeatedValues {
    let is_read_with_next = |i: usize| chunks.get(i + 1) == Some(&chunks[i]);
    let together = tokens.first().map_or(0, |first| first.saturating_sub(1));
    let mut gaps = vec![(0.0, together)];
    let mut before = chunks.first().copied().filter(|_| !is_read_with_next(0));
    for (i, count) in tokens.iter().enumerate().skip(1) {
        if *count == 0 {
            continue;
        }
        let is_joined = chunks[i] == chunks[i - 1] || is_read_with_next(i);
        if let Some(before) = before.filter(|_| !is_joined) {
            gaps.push((chunks[i].since_s(before) / *count as f64, *count));
        }
        before = Some(chunks[i]).filter(|_| !is_read_with_next(i));
    }
    gaps.into_iter().collect()
}

/// Returns true if the engine counted as many tokens as there are chunks. The token that ends a
/// generation may have no chunk.
fn is_one_token_per_chunk(exchange: &Exchange, reported: Option<u64>) -> bool {
    let chunks = exchange.chunks.len() as u64;
    let ended_by_token = exchange.finish_reason.as_deref() == Some("stop");
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

    /// Returns the usage of an engine that counted `completion_tokens`.
    fn counted(completion_tokens: u64) -> Usage {
        Usage {
            completion_tokens: Some(completion_tokens),
            ..Usage::default()
        }
    }

    fn exchange() -> Exchange {
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
            usage: Some(counted(3)),
            ..Exchange::default()
        }
    }

    fn row(exchange: &Exchange) -> Row {
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
        let ended = EndedRequest {
            job: &job,
            request: &request,
            x_request_id: "id".into(),
            gpu_memory: "{}".into(),
        };
        Row::new(&context(), ended, exchange)
    }

    #[test]
    fn durations_are_between_the_kernels_stamps() {
        let row = row(&exchange());
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
            (Some(8.0), Some(7.0), Some(12.75))
        );
        assert_eq!(
            (row.output_tokens, row.output_tokens_from.as_deref()),
            (Some(3), Some("usage"))
        );
        assert_eq!(row.chunk_tokens_from.as_deref(), Some("count"));
    }

    #[test]
    fn several_tokens_a_chunk_have_no_inter_token_latency() {
        let usage = Some(counted(12));
        let row = row(&Exchange {
            usage,
            ..exchange()
        });
        assert_eq!(
            (row.itl_mean_s, row.icl_mean_s, row.icl_max_s),
            (None, Some(1.0), Some(1.5))
        );
        assert_eq!(
            (row.throughput, row.chunk_tokens_from.as_deref()),
            (Some(6.0), None)
        );
    }

    #[test]
    fn where_the_engine_counts_each_chunk_several_tokens_have_gaps() {
        let mut chunk_tokens = ChunkTokens::default();
        for n in [2, 2, 5] {
            chunk_tokens.add(TokenCount::SoFar("usage", n));
            chunk_tokens.end_chunk();
        }
        let usage = Some(counted(5));
        let row = row(&Exchange {
            chunk_tokens,
            usage,
            ..exchange()
        });
        // Two at first, none after 0.5 s, three after 1.5 s more: n - 1 gaps that make up the whole.
        assert_eq!(
            (row.itl_mean_s, row.itl_max_s),
            (Some(0.5), Some(2.0 / 3.0))
        );
        assert_eq!(
            (row.chunk_tokens_from.as_deref(), row.tpot_s),
            (Some("usage"), Some(0.5))
        );
    }

    #[test]
    fn chunks_that_were_read_together_have_no_gap() {
        let chunks = [10.5, 11.0, 12.0, 12.0, 12.0, 12.5].map(at_s).to_vec();
        let usage = Some(counted(6));
        let row = row(&Exchange {
            chunks,
            usage,
            ..exchange()
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
                ..exchange()
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
        let usage = Some(counted(u64::MAX));
        let row = row(&Exchange {
            chunk_tokens,
            usage,
            ..exchange()
        });
        assert_eq!(
            (row.itl_p50_s, row.itl_max_s),
            (Some(1.5 / (u64::MAX - 2) as f64), Some(0.5))
        );
    }

    #[test]
    fn one_token_has_a_ttft_and_no_throughput() {
        let chunks = vec![at_s(10.5)];
        let usage = Some(counted(1));
        let row = row(&Exchange {
            chunks,
            usage,
            ..exchange()
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
            ..exchange()
        });
        assert_eq!(
            (row.output_tokens, row.output_tokens_from.as_deref()),
            (Some(3), Some("chunks"))
        );
        assert_eq!(row.itl_mean_s, None);
    }

    #[test]
    fn a_failure_keeps_its_moments_and_has_no_measures() {
        let failure = Some(Failure::NoDone { chunks: 3 });
        let row = row(&Exchange {
            failure,
            ..exchange()
        });
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
            (Status::Failed, Some(10.5), Some(12.75))
        );
        assert_eq!(
            row.error.as_deref(),
            Some("the stream ended without [DONE], 3 chunks in")
        );
    }
}
