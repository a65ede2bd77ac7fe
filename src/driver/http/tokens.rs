//! The number of tokens of each chunk, for servers that report it along with the chunks: vLLM and
//! SGLang by `continuous_usage_stats` or `return_token_ids`, llama.cpp by `timings_per_token`.

/// The number of tokens that one event reports, and the name of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCount {
    /// All tokens generated so far.
    SoFar(&'static str, u64),
    /// The tokens of this event.
    InEvent(&'static str, u64),
}

/// The tokens of an answer, chunk by chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkTokens {
    field: Option<&'static str>,
    so_far: u64,
    /// The tokens so far at each chunk that came with a count.
    at_chunk: Vec<u64>,
}

impl ChunkTokens {
    /// Adds the count of an event.
    pub fn add(&mut self, count: TokenCount) {
        match count {
            TokenCount::SoFar(field, tokens) => {
                self.field = Some(field);
                self.so_far = tokens;
            }
            TokenCount::InEvent(field, tokens) => {
                self.field = Some(field);
                self.so_far += tokens;
            }
        }
    }

    /// Adds a chunk of output: that of the event whose count was added last.
    pub fn end_chunk(&mut self) {
        self.at_chunk.push(self.so_far);
    }

    /// Returns the name of the field, and the tokens of each of `chunks` chunks. Returns `None`
    /// unless each chunk came with a count.
    pub fn per_chunk(&self, chunks: usize) -> Option<(&'static str, Vec<u64>)> {
        let field = self.field?;
        if chunks == 0 || self.at_chunk.len() != chunks || !self.at_chunk.is_sorted() {
            return None;
        }
        let mut before = 0;
        let tokens = self.at_chunk.iter().map(|at| {
            let tokens = at - before;
            before = *at;
            tokens
        });
        Some((field, tokens.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn per_chunk_needs_a_count_with_every_chunk() {
        let mut tokens = ChunkTokens::default();
        tokens.add(TokenCount::SoFar("usage", 0));
        for n in [1, 4, 4, 6] {
            tokens.add(TokenCount::SoFar("usage", n));
            tokens.end_chunk();
        }
        assert_eq!(tokens.per_chunk(4), Some(("usage", vec![1, 3, 0, 2])));
        assert_eq!(tokens.per_chunk(5), None, "a chunk without a count");
        let mut tokens = ChunkTokens::default();
        tokens.add(TokenCount::InEvent("token_ids", 2));
        tokens.end_chunk();
        tokens.add(TokenCount::InEvent("token_ids", 1));
        tokens.add(TokenCount::InEvent("token_ids", 3));
        tokens.end_chunk();
        assert_eq!(tokens.per_chunk(2), Some(("token_ids", vec![2, 4])));
        assert_eq!(ChunkTokens::default().per_chunk(0), None);
    }
}
