//! The memory limit of the answers in flight.

use super::failure::Failure;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The maximum memory of all answers in flight, bytes.
const MAX_BYTES: usize = 1 << 30;
/// The growth from which an answer's memory is counted again, bytes. Most valid answers are
/// smaller.
const STEP_BYTES: usize = 64 * 1024;
/// The maximum number of chunks of an answer: this many per requested token, plus `EXTRA_CHUNKS`.
const CHUNKS_PER_TOKEN: u64 = 16;
const EXTRA_CHUNKS: u64 = 1_000;

/// The counted memory of all answers in flight, bytes.
static COUNTED: AtomicUsize = AtomicUsize::new(0);

/// The memory of one answer. Dropping it frees its share.
pub(super) struct AnswerMemory<'a> {
    all: &'a AtomicUsize,
    counted: usize,
    max_chunks: usize,
}

impl AnswerMemory<'static> {
    /// Creates the memory of the answer to a request of at most `max_tokens` tokens.
    pub(super) fn new(max_tokens: Option<u64>) -> Self {
        Self::within(&COUNTED, max_tokens)
    }
}

impl<'a> AnswerMemory<'a> {
    fn within(all: &'a AtomicUsize, max_tokens: Option<u64>) -> Self {
        let max_chunks = match max_tokens {
            Some(tokens) => tokens
                .saturating_mul(CHUNKS_PER_TOKEN)
                .saturating_add(EXTRA_CHUNKS) as usize,
            None => usize::MAX,
        };
        Self {
            all,
            counted: 0,
            max_chunks,
        }
    }

    /// Checks an answer of this number of chunks and bytes.
    ///
    /// # Errors
    /// Fails if the answer has too many chunks, or all answers take too much memory.
    pub(super) fn check(&mut self, chunks: usize, bytes: usize) -> Result<(), Failure> {
        if chunks > self.max_chunks {
            let message = format!("{chunks} chunks, far more than the requested tokens");
            return Err(Failure::Invalid { message });
        }
        if bytes <= self.counted + STEP_BYTES {
            return Ok(());
        }
        let more = bytes - self.counted;
        self.counted = bytes;
        if self.all.fetch_add(more, Relaxed) + more > MAX_BYTES {
            let reason = format!(
                "aborted: the answers in flight take over {} MiB of memory",
                MAX_BYTES >> 20
            );
            return Err(Failure::Aborted { reason });
        }
        Ok(())
    }
}

impl Drop for AnswerMemory<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.counted, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_share_their_memory_and_small_ones_are_not_aborted() {
        const HALF: usize = MAX_BYTES / 2;
        let all = AtomicUsize::new(0);
        let mut first = AnswerMemory::within(&all, None);
        let mut second = AnswerMemory::within(&all, None);
        let mut small = AnswerMemory::within(&all, None);
        assert_eq!(first.check(1, HALF), Ok(()));
        assert_eq!(second.check(1, HALF), Ok(()));
        assert_eq!(small.check(1_000, STEP_BYTES), Ok(()));
        assert_eq!(
            second.check(1, HALF + STEP_BYTES),
            Ok(()),
            "counted in steps"
        );
        let failure = second.check(1, HALF + 2 * STEP_BYTES);
        assert_eq!(
            failure.expect_err("too much").to_string(),
            "aborted: the answers in flight take over 1024 MiB of memory"
        );
        assert_eq!(small.check(2_000, STEP_BYTES), Ok(()));
        drop((first, second, small));
        assert_eq!(all.load(Relaxed), 0, "all of it is free again");
    }

    #[test]
    fn an_answer_must_not_have_far_more_chunks_than_tokens() {
        let all = AtomicUsize::new(0);
        let mut memory = AnswerMemory::within(&all, Some(10));
        assert_eq!(memory.check(1_160, 0), Ok(()));
        let failure = memory.check(1_161, 0).expect_err("too many").to_string();
        assert!(
            failure.ends_with("1161 chunks, far more than the requested tokens"),
            "{failure}"
        );
        assert_eq!(
            AnswerMemory::within(&all, Some(u64::MAX)).check(usize::MAX, 0),
            Ok(())
        );
    }
}
