//! Prefills run one at a time, first come first served, unless the first token has a fixed moment. A request starts its prefill when the KV pool has room for
//! all it can come to need and fewer than `max_num_seqs` requests run; then it decodes beside the others, each token
//! an interval after the last one was due.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
};

use super::{
    super::{cache::Lease, tokens::mix},
    Job, Load, Nanos, Note, RequestId, ResetTiers, Setup, Sources, Step,
};

/// The scheduler of one engine.
pub struct Scheduler {
    setup: Setup,
    waiting: VecDeque<(RequestId, Job)>,
    prefilling: Option<RequestId>,
    live: HashMap<RequestId, Live>,
    due: BinaryHeap<Reverse<(Nanos, u64, RequestId)>>,
    planned: u64,
    warm: bool,
    notes: Vec<Note>,
}

/// A request in prefill or decode.
struct Live {
    job: Job,
    lease: Lease,
    sources: Sources,
    written_tokens: u32,
    load_s: f64,
}

impl Scheduler {
    /// A fresh engine.
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            waiting: VecDeque::new(),
            prefilling: None,
            live: HashMap::new(),
            due: BinaryHeap::new(),
            planned: 0,
            warm: false,
            notes: Vec::new(),
        }
    }

    /// Takes a request.
    pub fn submit(&mut self, now: Nanos, id: RequestId, job: Job) {
        self.waiting.push_back((id, job));
        self.start_prefill(now);
    }

    /// Drops a request, wherever it is, and frees what it holds. Says whether it was here.
    pub fn abort(&mut self, now: Nanos, id: RequestId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(waiting, _)| *waiting != id);
        let mut found = self.waiting.len() < before;
        if let Some(live) = self.live.remove(&id) {
            self.setup.pool.give_back(live.lease);
            self.prefilling.take_if(|prefilling| *prefilling == id);
            found = true;
        }
        self.start_prefill(now);
        found
    }

    /// Forgets the KV pool, and the tiers where asked. Says whether the pool could be forgotten.
    pub fn reset(&mut self, reset: ResetTiers) -> bool {
        if let (ResetTiers::Too, Some(tiers)) = (reset, &mut self.setup.tiers) {
            tiers.clear();
        }
        self.setup.pool.reset()
    }

    /// The moment the next token is due.
    pub fn next_due(&self) -> Option<Nanos> {
        self.due.peek().map(|Reverse((due, ..))| *due)
    }

    /// The next token that is due by now.
    pub fn step(&mut self, now: Nanos) -> Option<Step> {
        while self.next_due()? <= now {
            let Reverse((due, _, id)) = self.due.pop()?;
            if let Some(step) = self.advance(now, due, id) {
                return Some(step);
            }
        }
        None
    }

    /// What the tiers did since the last call.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// How loaded the engine is.
    pub fn load(&self) -> Load {
        let pool = &self.setup.pool;
        Load {
            running: self.live.len(),
            waiting: self.waiting.len(),
            kv_usage: pool.used_blocks() as f64 / pool.capacity_blocks().max(1) as f64,
        }
    }

    fn start_prefill(&mut self, now: Nanos) {
        if self.prefilling.is_some() || self.live.len() >= self.setup.max_num_seqs {
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
        let fixed_s = self.setup.timing.ttft_s;
        let took_s = match fixed_s {
            Some(ttft_s) => ttft_s,
            None => self.prefill_s(id, sources) + load_s + self.store_s(&job) + self.warmup_s(),
        };
        self.live.insert(
            id,
            Live {
                job,
                lease,
                sources,
                written_tokens: 0,
                load_s,
            },
        );
        self.prefilling = fixed_s.is_none().then_some(id);
        self.plan(now + nanos(took_s), id);
    }

    /// Leases room for prompt and answer; also the prompt's tokens that are on the GPU.
    fn lease(&mut self, job: &Job) -> Option<(Lease, u32)> {
        let block_tokens = self.setup.block_tokens;
        let reusable = (job.prompt_tokens - 1) / block_tokens;
        let hits = self.setup.pool.hits(&job.blocks[..reusable as usize]);
        let total = (job.prompt_tokens + job.answer_tokens).div_ceil(block_tokens);
        let lease = self.setup.pool.lease(&job.blocks[..hits], total as usize)?;
        Some((lease, hits as u32 * block_tokens))
    }

    /// Where the prompt's tokens come from, and the seconds the tiers take to load theirs.
    fn look_up(&mut self, id: RequestId, job: &Job, gpu_tokens: u32) -> (Sources, f64) {
        let computed = |cached: u32| job.prompt_tokens - cached;
        let Some(tiers) = &self.setup.tiers else {
            let computed_tokens = computed(gpu_tokens);
            return (
                Sources {
                    gpu_tokens,
                    tier_tokens: 0,
                    computed_tokens,
                },
                0.0,
            );
        };
        let found = tiers.find(job.prompt_chunks(tiers.chunk_tokens()));
        let hit_tokens = tiers.hit_tokens(&found, job.prompt_tokens);
        let tier_tokens = hit_tokens.saturating_sub(gpu_tokens);
        let sources = Sources {
            gpu_tokens,
            tier_tokens,
            computed_tokens: computed(gpu_tokens + tier_tokens),
        };
        let load_s = tiers.load_s(
            &found,
            gpu_tokens,
            gpu_tokens + tier_tokens,
            self.setup.kv_gib_per_token,
        );
        self.notes.push(Note::Looked {
            id,
            sources,
            hit_tokens,
        });
        (sources, load_s)
    }

    fn prefill_s(&self, id: RequestId, sources: Sources) -> f64 {
        let computed_s = self
            .setup
            .timing
            .prefill_s(sources.cached_tokens(), sources.computed_tokens);
        let connector_s = if self.setup.tiers.is_some() {
            self.setup.connector_s
        } else {
            0.0
        };
        (computed_s + connector_s) * self.jitter(id, 0)
    }

    fn store_s(&self, job: &Job) -> f64 {
        let Some(tiers) = &self.setup.tiers else {
            return 0.0;
        };
        tiers.store_s(
            job.prompt_chunks(tiers.chunk_tokens()),
            self.setup.kv_gib_per_token,
        )
    }

    fn warmup_s(&mut self) -> f64 {
        if std::mem::replace(&mut self.warm, true) {
            0.0
        } else {
            self.setup.timing.warmup_s
        }
    }

    fn advance(&mut self, now: Nanos, due: Nanos, id: RequestId) -> Option<Step> {
        if self.live.get(&id)?.written_tokens == 0 {
            self.end_prefill(due, id);
        }
        let live = self.live.get_mut(&id)?;
        let index = live.written_tokens;
        live.written_tokens += 1;
        let finish = (live.written_tokens == live.job.answer_tokens).then_some(live.job.finish);
        let sources = live.sources;
        match finish {
            Some(_) => self.end(due, id),
            None => self.plan_next(now, due, id, index + 1),
        }
        Some(Step {
            id,
            due,
            index,
            sources,
            finish,
        })
    }

    fn end_prefill(&mut self, due: Nanos, id: RequestId) {
        self.prefilling.take_if(|prefilling| *prefilling == id);
        if let Some(live) = self.live.get_mut(&id) {
            let full_blocks = (live.job.prompt_tokens / self.setup.block_tokens) as usize;
            self.setup
                .pool
                .publish(&mut live.lease, &live.job.blocks[..full_blocks]);
            if live.load_s > 0.0 {
                let (tokens, took_s) = (live.sources.tier_tokens, live.load_s);
                self.notes.push(Note::Retrieved { id, tokens, took_s });
            }
            let prompt_tokens = live.job.prompt_tokens;
            self.store(id, prompt_tokens);
        }
        self.start_prefill(due);
    }

    /// Frees a request that is done; what it wrote, but for the last token, has KV that others may share.
    fn end(&mut self, due: Nanos, id: RequestId) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        let tokens = live.job.prompt_tokens + live.written_tokens - 1;
        let full_blocks = (tokens / self.setup.block_tokens) as usize;
        self.setup
            .pool
            .publish(&mut live.lease, &live.job.blocks[..full_blocks]);
        self.store(id, tokens);
        if let Some(live) = self.live.remove(&id) {
            self.setup.pool.give_back(live.lease);
        }
        self.start_prefill(due);
    }

    /// Stores what the tiers may store of the first tokens of a request.
    fn store(&mut self, id: RequestId, tokens: u32) {
        let (Some(tiers), Some(live)) = (&mut self.setup.tiers, self.live.get(&id)) else {
            return;
        };
        let full = (tokens / tiers.chunk_tokens()) as usize;
        let chunks = &live.job.chunks[..full.min(live.job.chunks.len())];
        let tokens = tiers.missing_chunks(chunks) as u32 * tiers.chunk_tokens();
        let took_s = tiers.store_s(chunks, self.setup.kv_gib_per_token);
        tiers.store(chunks);
        if tokens > 0 {
            self.notes.push(Note::Stored { id, tokens, took_s });
        }
    }

    fn plan_next(&mut self, now: Nanos, due: Nanos, id: RequestId, index: u32) {
        let prefilling = usize::from(self.prefilling.is_some());
        let interval_s = self
            .setup
            .timing
            .interval_s(self.live.len() - prefilling, prefilling);
        let next = if interval_s > 0.0 {
            due + nanos(interval_s * self.jitter(id, index))
        } else {
            now
        };
        self.plan(next, id);
    }

    fn plan(&mut self, due: Nanos, id: RequestId) {
        self.planned += 1;
        self.due.push(Reverse((due, self.planned, id)));
    }

    /// A factor around 1 that depends on seed, request and token only.
    fn jitter(&self, id: RequestId, index: u32) -> f64 {
        let bits = mix(self.setup.seed ^ mix(id) ^ u64::from(index)) >> 11;
        let part = bits as f64 / (1u64 << 53) as f64;
        1.0 + self.setup.timing.jitter * (2.0 * part - 1.0)
    }
}

fn nanos(seconds: f64) -> Nanos {
    (seconds * 1e9) as Nanos
}
