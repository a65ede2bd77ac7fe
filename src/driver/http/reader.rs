//! Reads the bytes of a streamed answer into an [`Exchange`].

use super::delta::{self, Delta, EventTemplate, StreamEvent};
use super::exchange::{Arrival, Exchange};
use super::failure::Failure;
use super::sse::{SseFrame, SseSplitter};

/// The use of an answer's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextPolicy {
    /// It is kept.
    Keep,
    /// It is discarded; its chunks are counted.
    #[default]
    Discard,
}

/// The reader of one answer.
#[derive(Default)]
pub struct Reader {
    splitter: SseSplitter,
    events: EventReader,
}

/// The reader of the events of one answer.
#[derive(Default)]
struct EventReader {
    template: EventTemplate,
    text_policy: TextPolicy,
    has_events: bool,
    first_unknown: Option<String>,
}

impl Reader {
    /// Creates a reader that keeps or discards the text of the answer.
    pub fn new(text_policy: TextPolicy) -> Self {
        let events = EventReader {
            text_policy,
            ..EventReader::default()
        };
        Self {
            events,
            ..Self::default()
        }
    }

    /// Reads the next bytes into `exchange`.
    ///
    /// # Errors
    /// Fails if they are not an answer, or report a failure.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        arrival: Arrival,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        self.splitter
            .feed(bytes, |event| self.events.read(event, arrival, exchange))
    }

    /// Reads the last event, which may lack its end. An event that was cut off is ignored.
    ///
    /// # Errors
    /// Fails if it reports a failure.
    pub(super) fn finish(
        &mut self,
        arrival: Arrival,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        match self
            .splitter
            .finish(|event| self.events.read(event, arrival, exchange))
        {
            Err(Failure::Invalid { .. }) => Ok(()),
            finished => finished,
        }
    }

    /// Returns true if any event was read.
    pub(super) fn has_events(&self) -> bool {
        self.events.has_events
    }

    /// Returns an excerpt of the first event that is not part of the API.
    pub(super) fn first_unknown(&self) -> Option<&str> {
        self.events.first_unknown.as_deref()
    }

    /// Returns the length of the incomplete event, bytes.
    pub(super) fn held(&self) -> usize {
        self.splitter.held()
    }
}

impl EventReader {
    fn read(
        &mut self,
        event: SseFrame<'_>,
        arrival: Arrival,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        self.has_events = true;
        if exchange.first_answer.is_some()
            && self.text_policy == TextPolicy::Discard
            && self.template.is_plain_content(event.data)
        {
            exchange.chunks.push(arrival.at());
            return Ok(());
        }
        match delta::read(event, self.text_policy) {
            StreamEvent::Done => exchange.done = Some(arrival),
            StreamEvent::Delta(delta) => add_delta(delta, arrival, exchange),
            StreamEvent::Unknown(excerpt) => drop(self.first_unknown.get_or_insert(excerpt)),
            StreamEvent::Error(message) => {
                return Err(Failure::InStream {
                    message: delta::excerpt(message.as_bytes()),
                });
            }
            StreamEvent::Invalid(message) => return Err(Failure::Invalid { message }),
        }
        Ok(())
    }
}

fn add_delta(delta: Delta, arrival: Arrival, exchange: &mut Exchange) {
    if delta.has_choice {
        exchange.first_chunk.get_or_insert(arrival);
    }
    if delta.has_output {
        exchange.first_token.get_or_insert(arrival);
        exchange.chunks.push(arrival.at());
    }
    if delta.has_content {
        exchange.first_answer.get_or_insert(arrival);
    }
    if let Some(count) = delta.count {
        exchange.chunk_tokens.add(count);
        if delta.has_output {
            exchange.chunk_tokens.end_chunk();
        }
    }
    if let Some(text) = delta.text {
        exchange.text.push_str(&text);
    }
    exchange.usage = delta.usage.or(exchange.usage);
    if let Some(reason) = delta.finish_reason {
        exchange.finish_reason = Some(delta::excerpt(reason.as_bytes()));
    }
}
