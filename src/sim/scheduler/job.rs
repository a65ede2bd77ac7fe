//! The input and the output of the scheduler.

use crate::sim::text::FinishReason;

/// Nanoseconds since the engine started.
pub(crate) type Nanos = u64;

/// The number of a request, unique in its engine.
pub(crate) type RequestId = u64;

/// One request for the scheduler: lengths and hashes.
#[derive(Clone, Debug)]
pub(crate) struct SimJob {
    /// Tokens of the prompt, at least 1.
    pub(crate) prompt_tokens: u32,
    /// Tokens of the answer, at least 1.
    pub(crate) answer_tokens: u32,
    /// The reason why the answer ends.
    pub(crate) finish: FinishReason,
    /// Prefix hashes of prompt and answer, one per block of the KV pool.
    pub(crate) blocks: Vec<u64>,
    /// Prefix hashes of the tokens that the tiers may store, one per chunk; empty without tiers.
    pub(crate) chunks: Vec<u64>,
}

impl SimJob {
    /// The chunks that the prompt fills.
    pub(crate) fn prompt_chunks(&self, chunk_tokens: u32) -> &[u64] {
        self.full_chunks(self.prompt_tokens, chunk_tokens)
    }

    /// The chunks that the first `tokens` of prompt and answer fill.
    pub(crate) fn full_chunks(&self, tokens: u32, chunk_tokens: u32) -> &[u64] {
        let full = (tokens / chunk_tokens) as usize;
        &self.chunks[..full.min(self.chunks.len())]
    }
}

/// The sources of the tokens of a prompt.
#[expect(clippy::struct_field_names, reason = "the unit is part of a name")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PromptSources {
    /// Tokens found in the KV pool.
    pub(crate) gpu_tokens: u32,
    /// Tokens loaded from a tier.
    pub(crate) tier_tokens: u32,
    pub(crate) computed_tokens: u32,
}

impl PromptSources {
    /// The number of tokens that were not computed.
    pub(crate) fn cached_tokens(self) -> u32 {
        self.gpu_tokens + self.tier_tokens
    }

    /// The number of all tokens of the prompt.
    pub(crate) fn prompt_tokens(self) -> u32 {
        self.cached_tokens() + self.computed_tokens
    }
}

/// A token of a request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DueToken {
    pub(crate) id: RequestId,
    pub(crate) due: Nanos,
    /// The number of tokens of the answer before it.
    pub(crate) index: u32,
    pub(crate) sources: PromptSources,
    /// Set for the last token.
    pub(crate) finish: Option<FinishReason>,
}

/// An action of the tiers for one request, for the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CacheEvent {
    /// The tiers looked up a prompt.
    LookedUp {
        id: RequestId,
        sources: PromptSources,
        /// The number of tokens that the tiers have, including those that the GPU has too.
        hit_tokens: u32,
    },
    /// The tiers loaded tokens.
    Retrieved {
        id: RequestId,
        tokens: u32,
        took_s: f64,
    },
    /// The tiers stored tokens.
    Stored {
        id: RequestId,
        tokens: u32,
        took_s: f64,
    },
}

impl CacheEvent {
    pub(crate) fn request(&self) -> RequestId {
        match *self {
            Self::LookedUp { id, .. } | Self::Retrieved { id, .. } | Self::Stored { id, .. } => id,
        }
    }
}

/// The load of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct EngineLoad {
    /// The number of requests in prefill or decode.
    pub(crate) running: usize,
    /// The number of requests that wait for their prefill.
    pub(crate) waiting: usize,
    /// The share of the KV pool that requests hold.
    pub(crate) kv_usage: f64,
}

/// The effect of a reset of the KV pool on the tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetTiers {
    /// The tiers keep their chunks.
    Keep,
    /// The tiers are cleared too.
    Clear,
}
