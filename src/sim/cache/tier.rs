//! The tiers behind the GPU. They store whole chunks of tokens, and hit a prefix of chunks.

use super::lru::LruSet;
use crate::sim::timing::TierSpeed;
use std::ops::Range;

/// The medium of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TierKind {
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
pub(crate) struct Tier {
    kind: TierKind,
    speed: TierSpeed,
    capacity_chunks: usize,
    chunks: LruSet,
}

impl Tier {
    /// Returns an empty tier.
    pub(crate) fn new(kind: TierKind, capacity_chunks: usize, speed: TierSpeed) -> Self {
        Self {
            kind,
            speed,
            capacity_chunks,
            chunks: LruSet::default(),
        }
    }

    /// Stores the chunks, or as many of the first ones as fit. The first chunk is evicted last.
    fn store(&mut self, chunks: &[u64]) {
        for chunk in self.fitting(chunks).iter().rev() {
            self.chunks.touch(*chunk);
        }
        while self.chunks.len() > self.capacity_chunks && self.chunks.pop_oldest().is_some() {}
    }

    /// The number of chunks that the tier would have to store.
    fn missing(&self, chunks: &[u64]) -> usize {
        self.fitting(chunks)
            .iter()
            .filter(|chunk| !self.chunks.contains(**chunk))
            .count()
    }

    fn fitting<'a>(&self, chunks: &'a [u64]) -> &'a [u64] {
        &chunks[..chunks.len().min(self.capacity_chunks)]
    }
}

/// All tiers of an engine, the nearest first.
#[derive(Debug)]
pub(crate) struct Tiers {
    chunk_tokens: u32,
    tiers: Vec<Tier>,
}

/// The leading chunks that the tiers have, each with the index of the nearest tier that has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkHits {
    chunk_tiers: Vec<usize>,
}

impl Tiers {
    pub(crate) fn new(chunk_tokens: u32, tiers: Vec<Tier>) -> Self {
        Self {
            chunk_tokens,
            tiers,
        }
    }

    pub(crate) fn chunk_tokens(&self) -> u32 {
        self.chunk_tokens
    }

    /// The name of each tier and its capacity in tokens, the nearest first.
    pub(crate) fn capacities(&self) -> Vec<(&'static str, u64)> {
        let chunk_tokens = u64::from(self.chunk_tokens);
        self.tiers
            .iter()
            .map(|tier| (tier.kind.name(), tier.capacity_chunks as u64 * chunk_tokens))
            .collect()
    }

    /// Finds the leading chunks.
    pub(crate) fn find(&self, chunks: &[u64]) -> ChunkHits {
        let mut hits = ChunkHits::default();
        for chunk in chunks {
            let holder = |tier: &Tier| tier.chunks.contains(*chunk);
            let Some(nearest) = self.tiers.iter().position(holder) else {
                break;
            };
            hits.chunk_tiers.push(nearest);
        }
        hits
    }

    /// The number of tokens of a prompt that were found. Its last token is always computed.
    pub(crate) fn hit_tokens(&self, hits: &ChunkHits, prompt_tokens: u32) -> u32 {
        let found = hits.chunk_tiers.len() as u32 * self.chunk_tokens;
        found.min(prompt_tokens.saturating_sub(1))
    }

    /// The seconds to load the tokens `range` of those that were found.
    pub(crate) fn load_s(&self, hits: &ChunkHits, range: Range<u32>, gib_per_token: f64) -> f64 {
        let mut tokens = vec![0; self.tiers.len()];
        for (index, tier) in hits.chunk_tiers.iter().enumerate() {
            let start = index as u32 * self.chunk_tokens;
            let end = (start + self.chunk_tokens).min(range.end);
            tokens[*tier] += end.saturating_sub(start.max(range.start));
        }
        self.tiers
            .iter()
            .zip(tokens)
            .map(|(tier, tokens)| tier.speed.load_s(f64::from(tokens) * gib_per_token))
            .sum()
    }

    /// The largest number of these chunks that a tier would have to store.
    pub(crate) fn missing_chunks(&self, chunks: &[u64]) -> usize {
        self.tiers
            .iter()
            .map(|tier| tier.missing(chunks))
            .max()
            .unwrap_or(0)
    }

    /// The seconds that a request waits until these chunks are stored. The tiers store in parallel.
    pub(crate) fn store_s(&self, chunks: &[u64], gib_per_token: f64) -> f64 {
        let mut longest_s: f64 = 0.0;
        for tier in &self.tiers {
            let tokens = tier.missing(chunks) as f64 * f64::from(self.chunk_tokens);
            longest_s = longest_s.max(tier.speed.store_s(tokens * gib_per_token));
        }
        longest_s
    }

    /// Stores the chunks in every tier.
    pub(crate) fn store(&mut self, chunks: &[u64]) {
        for tier in &mut self.tiers {
            tier.store(chunks);
        }
    }

    /// Removes all chunks.
    pub(crate) fn clear(&mut self) {
        for tier in &mut self.tiers {
            tier.chunks.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPEED: TierSpeed = TierSpeed {
        load_gib_per_s: 10.0,
        store_gib_per_s: 20.0,
        latency_s: 0.5,
    };

    fn tiers(capacities: &[usize]) -> Tiers {
        let tiers = capacities
            .iter()
            .map(|capacity| Tier::new(TierKind::Cpu, *capacity, SPEED))
            .collect();
        Tiers::new(256, tiers)
    }

    #[test]
    fn tiers_hit_whole_chunks_but_never_the_last_token() {
        let mut tiers = tiers(&[100]);
        tiers.store(&[1, 2, 3, 4]);
        let hits = tiers.find(&[1, 2, 3, 4, 5]);
        assert_eq!(tiers.hit_tokens(&hits, 1_225), 1_024);
        assert_eq!(tiers.hit_tokens(&hits, 1_024), 1_023);
        assert_eq!(tiers.find(&[9, 2, 3]), ChunkHits::default());
    }

    #[test]
    fn chunks_are_loaded_from_the_nearest_tier() {
        let mut tiers = tiers(&[1, 10]);
        tiers.store(&[1, 2, 3]);
        let hits = tiers.find(&[1, 2, 3]);
        assert_eq!(hits.chunk_tiers, [0, 1, 1]);
        let gib_per_token = 1.0 / 256.0;
        let all_s = tiers.load_s(&hits, 0..768, gib_per_token);
        assert!((all_s - (0.5 + 0.1 + 0.5 + 0.2)).abs() < 1e-9);
        let most_s = tiers.load_s(&hits, 256..767, gib_per_token);
        assert!((most_s - (0.5 + 511.0 / 2_560.0)).abs() < 1e-9);
    }

    #[test]
    fn only_missing_chunks_are_stored() {
        let mut tiers = tiers(&[100]);
        tiers.store(&[1, 2]);
        assert_eq!(tiers.missing_chunks(&[1, 2, 3]), 1);
        assert!((tiers.store_s(&[1, 2, 3], 1.0 / 256.0) - 0.05).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn tiers_never_exceed_their_capacity_and_hit_the_last_prompt(
            capacity in 1usize..20,
            prompts in prop::collection::vec((0u64..5, 1usize..30), 1..40),
        ) {
            let mut tiers = tiers(&[capacity]);
            for (family, length) in prompts {
                let chunks: Vec<u64> = (family * 100..).take(length).collect();
                tiers.store(&chunks);
                prop_assert!(tiers.tiers[0].chunks.len() <= capacity);
                prop_assert_eq!(tiers.find(&chunks).chunk_tiers.len(), length.min(capacity));
                let prompt_tokens = length as u32 * 256;
                prop_assert!(tiers.hit_tokens(&tiers.find(&chunks), prompt_tokens) < prompt_tokens);
            }
        }
    }
}
