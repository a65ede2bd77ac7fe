//! The bytes of a streamed answer, as they arrive, become what was seen of it.

use super::delta::{self, Delta, Event, Shape};
use super::exchange::{Arrival, Exchange};
use super::failure::Failure;
use super::sse::{Frame, Splitter};

/// Reads one answer.
#[derive(Default)]
pub struct Reader {
    splitter: Splitter,
    notes: Notes,
}

/// The state of reading events.
#[derive(Default)]
struct Notes {
    shape: Shape,
    keep_text: bool,
    events: bool,
    unknown: Option<String>,
}

impl Reader {
    /// A reader that keeps the text of the answer, or only counts its chunks.
    pub fn new(keep_text: bool) -> Self {
        Self {
            notes: Notes {
                keep_text,
                ..Notes::default()
            },
            ..Self::default()
        }
    }

    /// Notes in `seen` what the next bytes say.
    ///
    /// # Errors
    /// When they are no answer, or one that says that it failed.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        arrival: Arrival,
        seen: &mut Exchange,
    ) -> Result<(), Failure> {
        self.splitter
            .feed(bytes, |event| self.notes.take(event, arrival, seen))
    }

    /// Adds to `seen` what the last bytes say. An event that was cut off is ignored.
    ///
    /// # Errors
    /// Fails if it says that the answer failed.
    pub fn finish(&mut self, arrival: Arrival, seen: &mut Exchange) -> Result<(), Failure> {
        match self
            .splitter
            .finish(|event| self.notes.take(event, arrival, seen))
        {
            Err(Failure::Invalid { .. }) => Ok(()),
            finished => finished,
        }
    }

    /// Returns true if any event was read.
    pub fn has_events(&self) -> bool {
        self.notes.events
    }

    /// An excerpt of the first event that the API does not have.
    pub fn unknown(&self) -> Option<&str> {
        self.notes.unknown.as_deref()
    }

    /// The number of bytes of an event that has not ended.
    pub fn held(&self) -> usize {
        self.splitter.held()
    }
}

impl Notes {
    fn take(
        &mut self,
        event: Frame<'_>,
        arrival: Arrival,
        seen: &mut Exchange,
    ) -> Result<(), Failure> {
        self.events = true;
        if seen.first_answer.is_some() && !self.keep_text && self.shape.is_plain_content(event.data)
        {
            seen.chunks.push(arrival.at());
            return Ok(());
        }
        match delta::read(event, self.keep_text) {
            Event::Done => seen.done = Some(arrival),
            Event::Delta(delta) => take_delta(delta, arrival, seen),
            Event::Unknown(excerpt) => drop(self.unknown.get_or_insert(excerpt)),
            Event::Error(message) => {
                return Err(Failure::InStream {
                    message: delta::excerpt(message.as_bytes()),
                });
            }
            Event::Invalid(message) => return Err(Failure::Invalid { message }),
        }
        Ok(())
    }
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
    let reason = delta
        .finish_reason
        .map(|reason| delta::excerpt(reason.as_bytes()));
    seen.finish_reason = reason.or(seen.finish_reason.take());
}
