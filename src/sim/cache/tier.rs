//! The tiers behind the GPU: whole chunks of tokens, found from the first one on.

use super::{super::timing::TierSpeed, lru::Lru};

/// What a tier is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TierKind {
    /// CPU memory of the engine.
    Cpu,
    /// CPU memory of the `lmcache server`.
    MpServer,
    /// A local disk.
    Disk,
    /// A store on the network.
    Remote,
}

impl TierKind {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::MpServer => "mp server",
            Self::Disk => "disk",
            Self::Remote => "remote",
        }
    }
}

/// One tier: a bounded set of chunks.
#[derive(Debug)]
pub struct Tier {
    kind: TierKind,
    speed: TierSpeed,
    capacity_chunks: usize,
    chunks: Lru,
}

impl Tier {
    /// An empty tier.
    pub fn new(kind: TierKind, capacity_chunks: usize, speed: TierSpeed) -> Self {
        Self {
            kind,
            speed,
            capacity_chunks,
            chunks: Lru::default(),
        }
    }

    /// Keeps the chunks, the first ones where not all fit, and makes the first one the last to go.
    fn store(&mut self, chunks: &[u64]) {
        let fitting = &chunks[..chunks.len().min(self.capacity_chunks)];
        fitting
            .iter()
            .rev()
            .for_each(|chunk| self.chunks.touch(*chunk));
        while self.chunks.len() > self.capacity_chunks && self.chunks.pop_oldest().is_some() {}
    }

    fn missing(&self, chunks: &[u64]) -> usize {
        let fitting = &chunks[..chunks.len().min(self.capacity_chunks)];
        fitting
            .iter()
            .filter(|chunk| !self.chunks.contains(**chunk))
            .count()
    }
}

/// All tiers of an engine, nearest first.
#[derive(Debug)]
pub struct Tiers {
    chunk_tokens: u32,
    tiers: Vec<Tier>,
}

/// The leading chunks that the tiers hold: for each of them the index of the nearest tier that has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    chunk_tiers: Vec<usize>,
}

impl Tiers {
    /// Tiers with chunks of this many tokens.
    pub fn new(chunk_tokens: u32, tiers: Vec<Tier>) -> Self {
        Self {
            chunk_tokens,
            tiers,
        }
    }

    /// Tokens in one chunk.
    pub fn chunk_tokens(&self) -> u32 {
        self.chunk_tokens
    }

    /// Name of each tier and the tokens it has room for, nearest first.
    pub fn capacities(&self) -> Vec<(&'static str, u64)> {
        let capacity = |tier: &Tier| tier.capacity_chunks as u64 * u64::from(self.chunk_tokens);
        self.tiers
            .iter()
            .map(|tier| (tier.kind.name(), capacity(tier)))
            .collect()
    }

    /// Looks for the leading chunks.
    pub fn find(&self, chunks: &[u64]) -> Found {
        let holder = |chunk: &u64| {
            self.tiers
                .iter()
                .position(|tier| tier.chunks.contains(*chunk))
        };
        Found {
            chunk_tiers: chunks.iter().map_while(holder).collect(),
        }
    }

    /// Tokens found of a prompt: the last token of it is always computed.
    pub fn hit_tokens(&self, found: &Found, prompt_tokens: u32) -> u32 {
        (found.chunk_tiers.len() as u32 * self.chunk_tokens).min(prompt_tokens.saturating_sub(1))
    }

    /// Seconds to load the found tokens from `from` up to `to`.
    pub fn load_s(&self, found: &Found, from: u32, to: u32, gib_per_token: f64) -> f64 {
        let mut tokens = vec![0; self.tiers.len()];
        for (index, tier) in found.chunk_tiers.iter().enumerate() {
            let start = index as u32 * self.chunk_tokens;
            let end = (start + self.chunk_tokens).min(to);
            tokens[*tier] += end.saturating_sub(start.max(from));
        }
        let loads = self.tiers.iter().zip(tokens);
        loads
            .map(|(tier, tokens)| tier.speed.load_s(f64::from(tokens) * gib_per_token))
            .sum()
    }

    /// Most chunks of these that some tier would have to store.
    pub fn missing_chunks(&self, chunks: &[u64]) -> usize {
        self.tiers
            .iter()
            .map(|tier| tier.missing(chunks))
            .max()
            .unwrap_or(0)
    }

    /// Seconds a request waits until these chunks are stored: the tiers store side by side.
    pub fn store_s(&self, chunks: &[u64], gib_per_token: f64) -> f64 {
        let seconds = |tier: &Tier| {
            let tokens = tier.missing(chunks) as f64 * f64::from(self.chunk_tokens);
            tier.speed.store_s(tokens * gib_per_token)
        };
        self.tiers.iter().map(seconds).fold(0.0, f64::max)
    }

    /// Keeps the chunks in every tier.
    pub fn store(&mut self, chunks: &[u64]) {
        self.tiers.iter_mut().for_each(|tier| tier.store(chunks));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.tiers.iter_mut().for_each(|tier| tier.chunks.clear());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPEED: TierSpeed = TierSpeed {
        load_gib_per_s: 10.0,
        store_gib_per_s: 20.0,
        latency_s: 0.5,
    };

    fn tiers(capacities: &[usize]) -> Tiers {
        let tier = |capacity: &usize| Tier::new(TierKind::Cpu, *capacity, SPEED);
        Tiers::new(256, capacities.iter().map(tier).collect())
    }

    #[test]
    fn whole_chunks_are_found_and_the_last_token_is_always_computed() {
        let mut tiers = tiers(&[100]);
        tiers.store(&[1, 2, 3, 4]);
        let found = tiers.find(&[1, 2, 3, 4, 5]);
        assert_eq!(tiers.hit_tokens(&found, 1_225), 1_024);
        assert_eq!(tiers.hit_tokens(&found, 1_024), 1_023);
        assert_eq!(tiers.find(&[9, 2, 3]), Found::default());
    }

    #[test]
    fn a_chunk_comes_from_the_nearest_tier_that_has_it() {
        let mut tiers = tiers(&[1, 10]);
        tiers.store(&[1, 2, 3]);
        let found = tiers.find(&[1, 2, 3]);
        assert_eq!(found.chunk_tiers, [0, 1, 1]);
        let gib_per_token = 1.0 / 256.0;
        assert!(
            (tiers.load_s(&found, 0, 768, gib_per_token) - (0.5 + 0.1 + 0.5 + 0.2)).abs() < 1e-9
        );
        assert!(
            (tiers.load_s(&found, 256, 767, gib_per_token) - (0.5 + 511.0 / 2_560.0)).abs() < 1e-9
        );
    }

    #[test]
    fn only_what_is_missing_is_stored() {
        let mut tiers = tiers(&[100]);
        tiers.store(&[1, 2]);
        assert_eq!(tiers.missing_chunks(&[1, 2, 3]), 1);
        assert!((tiers.store_s(&[1, 2, 3], 1.0 / 256.0) - 0.05).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn no_tier_holds_more_than_its_capacity_and_the_last_prompt_is_found(
            capacity in 1usize..20,
            prompts in prop::collection::vec((0u64..5, 1usize..30), 1..40),
        ) {
            let mut tiers = tiers(&[capacity]);
            for (family, length) in prompts {
                let chunks: Vec<u64> = (0..length as u64).map(|index| family * 100 + index).collect();
                tiers.store(&chunks);
                prop_assert!(tiers.tiers[0].chunks.len() <= capacity);
                prop_assert_eq!(tiers.find(&chunks).chunk_tiers.len(), length.min(capacity));
                let prompt_tokens = length as u32 * 256;
                prop_assert!(tiers.hit_tokens(&tiers.find(&chunks), prompt_tokens) < prompt_tokens);
            }
        }
    }
}
