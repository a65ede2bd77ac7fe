//! The bytes of a streamed answer, as they arrive, become what was seen of it.

use super::delta::{self, Delta, Event, Shape};
use super::exchange::{Arrival, Exchange};
use super::failure::Failure;
use super::sse::Splitter;

/// Reads one answer.
#[derive(Default)]
pub struct Reader {
    splitter: Splitter,
    shape: Shape,
    keep_text: bool,
}

impl Reader {
    /// A reader that keeps the text of the answer, or only counts its chunks.
    pub fn new(keep_text: bool) -> Self {
        Self { keep_text, ..Self::default() }
    }

    /// Notes in `seen` what the next bytes say.
    ///
    /// # Errors
    /// When they are no answer, or one that says that it failed.
    pub fn feed(&mut self, bytes: &[u8], arrival: Arrival, seen: &mut Exchange) -> Result<(), Failure> {
        let (shape, keep_text) = (&mut self.shape, self.keep_text);
        self.splitter.feed(bytes, |event| take(event, arrival, keep_text, shape, seen))
    }
}

/// Notes one event.
fn take(
    event: &[u8],
    arrival: Arrival,
    keep_text: bool,
    shape: &mut Shape,
    seen: &mut Exchange,
) -> Result<(), Failure> {
    if seen.first_answer.is_some() && !keep_text && shape.is_plain_content(event) {
        seen.chunks.push(arrival.at());
        return Ok(());
    }
    match delta::read(event, keep_text) {
        Event::Done => seen.done = Some(arrival),
        Event::Delta(delta) => take_delta(delta, arrival, seen),
        Event::Error(message) => {
            return Err(Failure::InStream { message: delta::excerpt(message.as_bytes()) });
        }
        Event::Invalid(message) => return Err(Failure::Invalid { message }),
    }
    Ok(())
}

fn take_delta(delta: Delta, arrival: Arrival, seen: &mut Exchange) {
    if delta.choice {
        seen.first_chunk.get_or_insert(arrival);
    }
    if delta.output {
        seen.first_token.get_or_insert(arrival);
        seen.chunks.push(arrival.at());
    }
    if delta.answer {
        seen.first_answer.get_or_insert(arrival);
    }
    seen.chunk_tokens.take(delta.count, delta.output);
    seen.text.push_str(&delta.text.unwrap_or_default());
    seen.usage = delta.usage.or(seen.usage);
    let reason = delta.finish_reason.map(|reason| delta::excerpt(reason.as_bytes()));
    seen.finish_reason = reason.or(seen.finish_reason.take());
}
