//! How many tokens each chunk had, where the server tells it along with the chunks: vLLM and SGLang by
//! `continuous_usage_stats` or `return_token_ids`, llama.cpp by `timings_per_token`.

/// What one event tells of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// All tokens generated so far, and which field says it.
    SoFar(&'static str, u64),
    /// The tokens of this event, and which field says it.
    Here(&'static str, u64),
}

/// The tokens of an answer, chunk by chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkTokens {
    from: Option<&'static str>,
    so_far: u64,
    /// Tokens so far at each chunk that came with a count.
    at_chunk: Vec<u64>,
}

impl ChunkTokens {
    /// Takes what an event tells; `chunk` where it is a chunk of output as well.
    pub fn take(&mut self, count: Option<Count>, chunk: bool) {
        match count {
            Some(Count::SoFar(from, tokens)) => (self.from, self.so_far) = (Some(from), tokens),
            Some(Count::Here(from, tokens)) => {
                self.from = Some(from);
                self.so_far += tokens;
            }
            None => return,
        }
        if chunk {
            self.at_chunk.push(self.so_far);
        }
    }

    /// The tokens of each of `chunks` chunks, and which field told them; `None` unless each came with
    /// its count.
    pub fn of_each(&self, chunks: usize) -> Option<(&'static str, Vec<u64>)> {
        let from = self
            .from
            .filter(|_| chunks > 0 && self.at_chunk.len() == chunks && self.at_chunk.is_sorted())?;
        let before = std::iter::once(&0).chain(&self.at_chunk);
        Some((
            from,
            self.at_chunk
                .iter()
                .zip(before)
                .map(|(at, before)| at - before)
                .collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_with_every_chunk_or_not_at_all() {
        let mut tokens = ChunkTokens::default();
        tokens.take(Some(Count::SoFar("usage", 0)), false);
        for n in [1, 4, 4, 6] {
            tokens.take(Some(Count::SoFar("usage", n)), true);
        }
        assert_eq!(tokens.of_each(4), Some(("usage", vec![1, 3, 0, 2])));
        assert_eq!(tokens.of_each(5), None, "a chunk came without");
        let mut here = ChunkTokens::default();
        for (n, chunk) in [(2, true), (1, false), (3, true)] {
            here.take(Some(Count::Here("token_ids", n)), chunk);
        }
        assert_eq!(here.of_each(2), Some(("token_ids", vec![2, 4])));
        assert_eq!(ChunkTokens::default().of_each(0), None);
    }
}
