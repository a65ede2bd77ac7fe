//! The memory that answers in flight may take.

use super::failure::Failure;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The bytes that all answers in flight may take together.
const ALL: usize = 1 << 30;
/// The growth in bytes from which an answer is counted again; most valid answers never are.
const SMALL: usize = 64 * 1024;
/// The number of chunks that an answer may have: this many per requested token, plus `FURTHER_CHUNKS`.
const CHUNKS_A_TOKEN: u64 = 16;
const FURTHER_CHUNKS: u64 = 1_000;

/// The bytes that answers in flight take, as far as they are counted.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// The memory of one answer. It is free again when this is dropped.
pub struct Room<'a> {
    all: &'a AtomicUsize,
    taken: usize,
    chunks: usize,
}

impl Room<'static> {
    /// The memory for the answer to a request of at most `max_tokens` tokens.
    pub fn new(max_tokens: Option<u64>) -> Self {
        Self::within(&TAKEN, max_tokens)
    }
}

impl<'a> Room<'a> {
    fn within(all: &'a AtomicUsize, max_tokens: Option<u64>) -> Self {
        let chunks = |tokens: u64| {
            tokens
                .saturating_mul(CHUNKS_A_TOKEN)
                .saturating_add(FURTHER_CHUNKS)
        };
        let chunks = max_tokens.map_or(usize::MAX, |tokens| chunks(tokens) as usize);
        Self {
            all,
            taken: 0,
            chunks,
        }
    }

    /// Succeeds if the answer may have this number of chunks and take this number of bytes.
    pub fn check(&mut self, chunks: usize, bytes: usize) -> Result<(), Failure> {
        if chunks > self.chunks {
            let message = format!("{chunks} chunks, far more than the tokens that were asked for");
            return Err(Failure::Invalid { message });
        }
        if bytes <= self.taken + SMALL {
            return Ok(());
        }
        let more = bytes - self.taken;
        self.taken = bytes;
        if self.all.fetch_add(more, Relaxed) + more > ALL {
            let reason = format!(
                "given up: all answers in flight take over {} MiB of memory",
                ALL >> 20
            );
            return Err(Failure::Aborted { reason });
        }
        Ok(())
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.taken, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_share_their_room_and_small_ones_are_never_given_up() {
        const HALF: usize = ALL / 2;
        let all = AtomicUsize::new(0);
        let room = || Room::within(&all, None);
        let (mut first, mut second, mut small) = (room(), room(), room());
        assert_eq!(
            (first.check(1, HALF), second.check(1, HALF)),
            (Ok(()), Ok(()))
        );
        assert_eq!(small.check(1_000, SMALL), Ok(()));
        assert_eq!(second.check(1, HALF + SMALL), Ok(()), "counted in steps");
        let failure = second.check(1, HALF + 2 * SMALL).expect_err("too much");
        assert_eq!(
            failure.to_string(),
            "given up: all answers in flight take over 1024 MiB of memory"
        );
        assert_eq!(small.check(2_000, SMALL), Ok(()));
        drop((first, second, small));
        assert_eq!(all.load(Relaxed), 0, "all of it is free again");
    }

    #[test]
    fn an_answer_has_no_more_chunks_than_its_tokens_can_be() {
        let all = AtomicUsize::new(0);
        let mut room = Room::within(&all, Some(10));
        assert_eq!(room.check(1_160, 0), Ok(()));
        let failure = room.check(1_161, 0).expect_err("too many").to_string();
        assert!(
            failure.ends_with("1161 chunks, far more than the tokens that were asked for"),
            "{failure}"
        );
        assert_eq!(
            Room::within(&all, Some(u64::MAX)).check(usize::MAX, 0),
            Ok(())
        );
    }
}
