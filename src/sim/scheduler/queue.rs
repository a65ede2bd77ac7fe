//! The scheduler of an engine.
//!
//! Prefills run one at a time, in order of arrival, unless the TTFT is fixed. A request starts its
//! prefill when the KV pool has room for its longest answer and fewer than `max_num_seqs` requests
//! run. Then it decodes in parallel with the others, with an interval between the due times of
//! tokens.

use super::{
    CacheEvent, DueToken, EngineLoad, Nanos, PromptSources, RequestId, ResetTiers, SchedulerSetup,
    SimJob,
};
use crate::sim::cache::BlockLease;
use crate::sim::config::{BLOCK_TOKENS, KV_GIB_PER_TOKEN};
use crate::sim::tokens::mix;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

/// The scheduler of one engine.
pub(crate) struct Scheduler {
    setup: SchedulerSetup,
    waiting: VecDeque<(RequestId, SimJob)>,
    prefilling: Option<RequestId>,
    running: HashMap<RequestId, RunningRequest>,
    /// The next token of each running request: its due time, its position in planning order.
    due: BinaryHeap<Reverse<(Nanos, u64, RequestId)>>,
    planned: u64,
    warm: bool,
    events: Vec<CacheEvent>,
}

/// A request in prefill or decode.
struct RunningRequest {
    job: SimJob,
    lease: BlockLease,
    sources: PromptSources,
    written_tokens: u32,
    load_s: f64,
}

impl Scheduler {
    /// Returns the scheduler of a fresh engine.
    pub(crate) fn new(setup: SchedulerSetup) -> Self {
        Self {
            setup,
            waiting: VecDeque::new(),
            prefilling: None,
            running: HashMap::new(),
            due: BinaryHeap::new(),
            planned: 0,
            warm: false,
            events: Vec::new(),
        }
    }

    /// Adds a request.
    pub(crate) fn submit(&mut self, now: Nanos, id: RequestId, job: SimJob) {
        self.waiting.push_back((id, job));
        self.start_prefill(now);
    }

    /// Removes a request and frees its blocks. Returns false if the request is unknown.
    pub(crate) fn abort(&mut self, now: Nanos, id: RequestId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(waiting, _)| *waiting != id);
        let mut found = self.waiting.len() < before;
        if let Some(request) = self.running.remove(&id) {
            self.setup.pool.release(request.lease);
            self.prefilling.take_if(|prefilling| *prefilling == id);
            found = true;
        }
        self.start_prefill(now);
        found
    }

    /// Clears the KV pool, and the tiers if requested. Returns false if requests hold blocks.
    pub(crate) fn reset(&mut self, reset: ResetTiers) -> bool {
        if let (ResetTiers::Clear, Some(tiers)) = (reset, &mut self.setup.tiers) {
            tiers.clear();
        }
        self.setup.pool.reset()
    }

    /// The time at which the next token is due.
    pub(crate) fn next_due(&self) -> Option<Nanos> {
        self.due.peek().map(|Reverse((due, ..))| *due)
    }

    /// Returns the next token that is due at `now`.
    pub(crate) fn next_token(&mut self, now: Nanos) -> Option<DueToken> {
        while self.next_due()? <= now {
            let Reverse((due, _, id)) = self.due.pop()?;
            if let Some(token) = self.advance(now, due, id) {
                return Some(token);
            }
        }
        None
    }

    /// Returns the actions of the tiers since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<CacheEvent> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn load(&self) -> EngineLoad {
        let pool = &self.setup.pool;
        EngineLoad {
            running: self.running.len(),
            waiting: self.waiting.len(),
            kv_usage: pool.used_blocks() as f64 / pool.capacity_blocks().max(1) as f64,
        }
    }

    fn start_prefill(&mut self, now: Nanos) {
        if self.prefilling.is_some() || self.running.len() >= self.setup.max_num_seqs {
            return;
        }
        let Some((id, job)) = self.waiting.pop_front() else {
            return;
        };
        let Some((lease, gpu_tokens)) = self.lease(&job) else {
            self.waiting.push_front((id, job));
            return;
        };
        let (sources, load_s) = self.look_up(id, &job, gpu_tokens);
        let took_s = if let Some(ttft_s) = self.setup.timing.ttft_s {
            ttft_s
        } else {
            self.prefilling = Some(id);
            self.prefill_s(id, sources) + load_s + self.store_s(&job) + self.warmup_s()
        };
        self.running.insert(
            id,
            RunningRequest {
                job,
                lease,
                sources,
                written_tokens: 0,
                load_s,
            },
        );
        self.plan(now + nanos(took_s), id);
    }

    /// Leases blocks for prompt and answer. Also returns the number of prompt tokens that the GPU
    /// has.
    fn lease(&mut self, job: &SimJob) -> Option<(BlockLease, u32)> {
        let reusable = (job.prompt_tokens - 1) / BLOCK_TOKENS;
        let hits = self.setup.pool.hits(&job.blocks[..reusable as usize]);
        let total = (job.prompt_tokens + job.answer_tokens).div_ceil(BLOCK_TOKENS);
        let lease = self.setup.pool.lease(&job.blocks[..hits], total as usize)?;
        Some((lease, hits as u32 * BLOCK_TOKENS))
    }

    /// Returns the sources of the prompt's tokens, and the seconds that the tiers need to load
    /// theirs.
    fn look_up(&mut self, id: RequestId, job: &SimJob, gpu_tokens: u32) -> (PromptSources, f64) {
        let mut sources = PromptSources {
            gpu_tokens,
            tier_tokens: 0,
            computed_tokens: job.prompt_tokens - gpu_tokens,
        };
        let Some(tiers) = &self.setup.tiers else {
            return (sources, 0.0);
        };
        let hits = tiers.find(job.prompt_chunks(tiers.chunk_tokens()));
        let hit_tokens = tiers.hit_tokens(&hits, job.prompt_tokens);
        sources.tier_tokens = hit_tokens.saturating_sub(gpu_tokens);
        sources.computed_tokens -= sources.tier_tokens;
        let loaded = gpu_tokens..sources.cached_tokens();
        let load_s = tiers.load_s(&hits, loaded, KV_GIB_PER_TOKEN);
        self.events.push(CacheEvent::LookedUp {
            id,
            sources,
            hit_tokens,
        });
        (sources, load_s)
    }

    fn prefill_s(&self, id: RequestId, sources: PromptSources) -> f64 {
        let timing = &self.setup.timing;
        let computed_s = timing.prefill_s(sources.cached_tokens(), sources.computed_tokens);
        (computed_s + self.setup.connector_s) * self.jitter(id, 0)
    }

    fn store_s(&self, job: &SimJob) -> f64 {
        let Some(tiers) = &self.setup.tiers else {
            return 0.0;
        };
        tiers.store_s(job.prompt_chunks(tiers.chunk_tokens()), KV_GIB_PER_TOKEN)
    }

    fn warmup_s(&mut self) -> f64 {
        if std::mem::replace(&mut self.warm, true) {
            0.0
        } else {
            self.setup.timing.warmup_s
        }
    }

    fn advance(&mut self, now: Nanos, due: Nanos, id: RequestId) -> Option<DueToken> {
        if self.running.get(&id)?.written_tokens == 0 {
            self.end_prefill(due, id);
        }
        let request = self.running.get_mut(&id)?;
        let index = request.written_tokens;
        request.written_tokens += 1;
        let is_last = request.written_tokens == request.job.answer_tokens;
        let token = DueToken {
            id,
            due,
            index,
            sources: request.sources,
            finish: is_last.then_some(request.job.finish),
        };
        if is_last {
            self.end(due, id);
        } else {
            let interval_s = self.interval_s();
            let next = if interval_s > 0.0 {
                due + nanos(interval_s * self.jitter(id, index + 1))
            } else {
                now
            };
            self.plan(next, id);
        }
        Some(token)
    }

    fn end_prefill(&mut self, due: Nanos, id: RequestId) {
        self.prefilling.take_if(|prefilling| *prefilling == id);
        if let Some(request) = self.running.get_mut(&id) {
            let prompt_tokens = request.job.prompt_tokens;
            let full_blocks = (prompt_tokens / BLOCK_TOKENS) as usize;
            self.setup
                .pool
                .publish(&mut request.lease, &request.job.blocks[..full_blocks]);
            if request.load_s > 0.0 {
                self.events.push(CacheEvent::Retrieved {
                    id,
                    tokens: request.sources.tier_tokens,
                    took_s: request.load_s,
                });
            }
            self.store(id, prompt_tokens);
        }
        self.start_prefill(due);
    }

    /// Ends a request. Its KV, except that of the last token, stays for other requests.
    fn end(&mut self, due: Nanos, id: RequestId) {
        let Some(request) = self.running.get_mut(&id) else {
            return;
        };
        let tokens = request.job.prompt_tokens + request.written_tokens - 1;
        let full_blocks = (tokens / BLOCK_TOKENS) as usize;
        self.setup
            .pool
            .publish(&mut request.lease, &request.job.blocks[..full_blocks]);
        self.store(id, tokens);
        if let Some(request) = self.running.remove(&id) {
            self.setup.pool.release(request.lease);
        }
        self.start_prefill(due);
    }

    /// Stores the first `tokens` of a request in the tiers, as far as they may store them.
    fn store(&mut self, id: RequestId, tokens: u32) {
        let Some(tiers) = &mut self.setup.tiers else {
            return;
        };
        let Some(request) = self.running.get(&id) else {
            return;
        };
        let chunks = request.job.full_chunks(tokens, tiers.chunk_tokens());
        let tokens = tiers.missing_chunks(chunks) as u32 * tiers.chunk_tokens();
        let took_s = tiers.store_s(chunks, KV_GIB_PER_TOKEN);
        tiers.store(chunks);
        if tokens > 0 {
            self.events.push(CacheEvent::Stored { id, tokens, took_s });
        }
    }

    /// The seconds between two tokens at the current load, without jitter.
    fn interval_s(&self) -> f64 {
        let prefilling = usize::from(self.prefilling.is_some());
        let decoding = self.running.len() - prefilling;
        self.setup.timing.interval_s(decoding, prefilling)
    }

    fn plan(&mut self, due: Nanos, id: RequestId) {
        self.planned += 1;
        self.due.push(Reverse((due, self.planned, id)));
    }

    /// A factor close to 1 that depends only on seed, request and token.
    fn jitter(&self, id: RequestId, index: u32) -> f64 {
        let bits = mix(self.setup.seed ^ mix(id) ^ u64::from(index)) >> 11;
        let part = bits as f64 / (1u64 << 53) as f64;
        1.0 + self.setup.timing.jitter * (2.0 * part - 1.0)
    }
}

fn nanos(seconds: f64) -> Nanos {
    (seconds * 1e9) as Nanos
}
