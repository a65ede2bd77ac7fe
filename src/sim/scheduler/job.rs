//! What goes into the scheduler and what comes out of it.

use super::super::words::FinishReason;

/// Nanoseconds since the engine started.
pub type Nanos = u64;

/// The number of a request, unique in its engine.
pub type RequestId = u64;

/// One request as the scheduler sees it: lengths and hashes.
#[derive(Debug, Clone)]
pub struct Job {
    /// Tokens of the prompt, at least 1.
    pub prompt_tokens: u32,
    /// Tokens of the answer, at least 1.
    pub answer_tokens: u32,
    /// Why the answer ends.
    pub finish: FinishReason,
    /// Prefix hashes of prompt and answer, one a block of the KV pool.
    pub blocks: Vec<u64>,
    /// Prefix hashes of what the tiers may store, one a chunk; empty without tiers.
    pub chunks: Vec<u64>,
}

impl Job {
    /// The chunks that the prompt fills.
    pub fn prompt_chunks(&self, chunk_tokens: u32) -> &[u64] {
        let full = (self.prompt_tokens / chunk_tokens) as usize;
        &self.chunks[..full.min(self.chunks.len())]
    }
}

/// Where the tokens of a prompt came from.
#[expect(clippy::struct_field_names, reason = "the unit is part of a name")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sources {
    /// Found in the KV pool.
    pub gpu_tokens: u32,
    /// Loaded from a tier.
    pub tier_tokens: u32,
    /// Computed.
    pub computed_tokens: u32,
}

impl Sources {
    /// Tokens that were not computed.
    pub fn cached_tokens(self) -> u32 {
        self.gpu_tokens + self.tier_tokens
    }

    /// All tokens of the prompt.
    pub fn prompt_tokens(self) -> u32 {
        self.cached_tokens() + self.computed_tokens
    }
}

/// One token of one request is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The request.
    pub id: RequestId,
    /// The moment it was due.
    pub due: Nanos,
    /// Number of tokens of the answer before it.
    pub index: u32,
    /// Where the prompt's tokens came from.
    pub sources: Sources,
    /// Set with the last token.
    pub finish: Option<FinishReason>,
}

/// What the tiers did for one request, for the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Note {
    /// A prompt was looked up.
    Looked {
        /// The request.
        id: RequestId,
        /// Where its tokens are to come from.
        sources: Sources,
        /// Tokens the tiers hold, those the GPU holds too included.
        hit_tokens: u32,
    },
    /// Tokens came from the tiers.
    Retrieved {
        /// The request.
        id: RequestId,
        /// How many.
        tokens: u32,
        /// How long it took.
        took_s: f64,
    },
    /// Tokens went to the tiers.
    Stored {
        /// The request.
        id: RequestId,
        /// How many.
        tokens: u32,
        /// How long it took.
        took_s: f64,
    },
}

/// How loaded the engine is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Requests in prefill or decode.
    pub running: usize,
    /// Requests that wait for their prefill.
    pub waiting: usize,
    /// Part of the KV pool that requests hold.
    pub kv_usage: f64,
}

/// Whether a reset of the KV pool takes the tiers along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetTiers {
    /// Only the pool is forgotten.
    Keep,
    /// The tiers too.
    Too,
}
