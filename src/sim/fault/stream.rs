//! Faults of streams.

use super::AnswerFault;
use serde_json::json;

/// The number of the chunk that faults of one chunk affect. It is not the first, so the answer has
/// started.
const FAULTY_CHUNK: u32 = 2;

/// The faults of one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamFaults(Vec<AnswerFault>);

impl StreamFaults {
    pub(crate) fn new(faults: Vec<AnswerFault>) -> Self {
        Self(faults)
    }

    /// Changes an event, which ends with an empty line. `chunk` is the number of its chunk, from 1,
    /// or `None` if the event is not a chunk of text.
    pub(crate) fn apply(&self, event: &mut Vec<u8>, chunk: Option<u32>) {
        for fault in &self.0 {
            match fault {
                AnswerFault::Crlf => *event = with_crlf(event),
                AnswerFault::Comments => *event = with_comments(event),
                _ if chunk != Some(FAULTY_CHUNK) => {}
                AnswerFault::ErrorEvent => *event = error_event(),
                AnswerFault::InvalidJson => truncate(event),
                AnswerFault::InvalidUtf8 => insert_after(event, br#"":""#, b"\xff\xfe"),
                AnswerFault::LongLine(bytes) => {
                    let padding = "x".repeat((*bytes as usize).saturating_sub(event.len()));
                    let field = format!(r#""padding":"{padding}","#);
                    insert_after(event, b"{", field.as_bytes());
                }
                _ => {}
            }
        }
    }

    /// The maximum number of bytes per write.
    pub(crate) fn piece_bytes(&self) -> usize {
        if self.0.contains(&AnswerFault::ByteByByte) {
            1
        } else {
            usize::MAX
        }
    }

    /// Returns true if the stream ends without `[DONE]`.
    pub(crate) fn omits_done(&self) -> bool {
        self.0.contains(&AnswerFault::NoDone)
    }

    pub(crate) fn tokens_per_chunk(&self) -> u32 {
        let tokens = self.0.iter().find_map(|fault| match fault {
            AnswerFault::TokensPerChunk(tokens) => Some(*tokens),
            _ => None,
        });
        tokens.unwrap_or(1)
    }

    /// Returns true if nothing is sent after this number of chunks.
    pub(crate) fn stalls(&self, chunks: u32) -> bool {
        self.0
            .iter()
            .any(|fault| matches!(fault, AnswerFault::StallAfter(after) if chunks >= *after))
    }

    /// Returns true if the connection closes after this number of chunks.
    pub(crate) fn closes(&self, chunks: u32) -> bool {
        self.0
            .iter()
            .any(|fault| matches!(fault, AnswerFault::CloseAfter(after) if chunks >= *after))
    }
}

fn with_crlf(event: &[u8]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(event.len() + 2);
    for byte in event {
        if *byte == b'\n' {
            changed.push(b'\r');
        }
        changed.push(*byte);
    }
    changed
}

/// Puts a comment before the event and splits its data into two lines, at a comma, where JSON
/// allows a space.
fn with_comments(event: &[u8]) -> Vec<u8> {
    let comma = event.iter().position(|byte| *byte == b',');
    let (head, tail) = event.split_at(comma.map_or(event.len(), |comma| comma + 1));
    let mut changed = b": still here\n\n".to_vec();
    changed.extend_from_slice(head);
    if !tail.is_empty() {
        changed.extend_from_slice(b"\n: in between\ndata: ");
    }
    changed.extend_from_slice(tail);
    changed
}

fn error_event() -> Vec<u8> {
    let message = "EngineCore encountered an issue \u{1b}[31m(on purpose)";
    let error = json!({ "error": { "message": message, "code": 500 } });
    format!("data: {error}\n\n").into_bytes()
}

fn truncate(event: &mut Vec<u8>) {
    event.truncate(event.len() / 2);
    event.extend_from_slice(b"\n\n");
}

/// Inserts `bytes` after the first `mark`.
fn insert_after(event: &mut Vec<u8>, mark: &[u8], bytes: &[u8]) {
    if let Some(at) = event.windows(mark.len()).position(|window| window == mark) {
        let end = at + mark.len();
        event.splice(end..end, bytes.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faulty(fault: AnswerFault, chunk: u32) -> Vec<u8> {
        let mut event = b"data: {\"id\":\"x\",\"a\":\"b\"}\n\n".to_vec();
        StreamFaults::new(vec![fault]).apply(&mut event, Some(chunk));
        event
    }

    #[test]
    fn stream_faults_change_the_events() {
        assert_eq!(
            faulty(AnswerFault::Crlf, 1),
            b"data: {\"id\":\"x\",\"a\":\"b\"}\r\n\r\n"
        );
        assert_eq!(
            faulty(AnswerFault::Comments, 1),
            b": still here\n\ndata: {\"id\":\"x\",\n: in between\ndata: \"a\":\"b\"}\n\n"
        );
        assert_eq!(faulty(AnswerFault::InvalidJson, 2), b"data: {\"id\":\"\n\n");
        assert_eq!(
            faulty(AnswerFault::InvalidJson, 1),
            faulty(AnswerFault::NoDone, 1)
        );
        assert!(std::str::from_utf8(&faulty(AnswerFault::InvalidUtf8, 2)).is_err());
        let long = faulty(AnswerFault::LongLine(1000), 2);
        assert!(long.starts_with(b"data: {\"padding\":\"xx") && (1000..1100).contains(&long.len()));
    }
}
