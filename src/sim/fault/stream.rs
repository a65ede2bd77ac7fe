//! Streams that are not as they should be.

use super::AnswerFault;
use serde_json::json;

/// The chunk that is spoiled, where only one is: the second, so that an answer has begun.
const SPOILED: u32 = 2;

/// What is done to the events of one stream.
#[derive(Debug, Clone, Default)]
pub struct Spoiler(Vec<AnswerFault>);

impl Spoiler {
    /// One that does these.
    pub fn new(faults: Vec<AnswerFault>) -> Self {
        Self(faults)
    }

    /// Spoils an event, which ends in an empty line. `chunk` is which one it is, from 1; the
    /// events around them have none.
    pub fn spoil(&self, line: &mut Vec<u8>, chunk: Option<u32>) {
        for fault in &self.0 {
            match fault {
                AnswerFault::Crlf => *line = crlf(line),
                AnswerFault::Comments => *line = commented(line),
                _ if chunk != Some(SPOILED) => {}
                AnswerFault::ErrorEvent => *line = error_event(),
                AnswerFault::InvalidJson => cut(line),
                AnswerFault::InvalidUtf8 => insert(line, b"\xff\xfe", br#"":""#),
                AnswerFault::LongLine(bytes) => {
                    let padding = "x".repeat((*bytes as usize).saturating_sub(line.len()));
                    insert(line, format!(r#""padding":"{padding}","#).as_bytes(), b"{");
                }
                _ => {}
            }
        }
    }

    /// Bytes that are sent at once.
    pub fn piece_bytes(&self) -> usize {
        if self.0.contains(&AnswerFault::ByteByByte) {
            1
        } else {
            usize::MAX
        }
    }

    /// Whether `[DONE]` is left out.
    pub fn omits_done(&self) -> bool {
        self.0.contains(&AnswerFault::NoDone)
    }

    /// Tokens of a chunk.
    pub fn tokens_per_chunk(&self) -> u32 {
        let tokens = self.0.iter().find_map(|fault| match fault {
            AnswerFault::TokensPerChunk(tokens) => Some(*tokens),
            _ => None,
        });
        tokens.unwrap_or(1)
    }

    /// Whether nothing more comes after so many chunks.
    pub fn stalls(&self, chunks: u32) -> bool {
        self.0
            .iter()
            .any(|fault| matches!(fault, AnswerFault::StallAfter(after) if chunks >= *after))
    }

    /// Whether the connection closes after so many chunks.
    pub fn closes(&self, chunks: u32) -> bool {
        self.0
            .iter()
            .any(|fault| matches!(fault, AnswerFault::CloseAfter(after) if chunks >= *after))
    }
}

fn crlf(line: &[u8]) -> Vec<u8> {
    line.iter()
        .flat_map(|byte| {
            if *byte == b'\n' {
                &b"\r\n"[..]
            } else {
                std::slice::from_ref(byte)
            }
        })
        .copied()
        .collect()
}

/// A comment before the event, and its data in two lines: a line ends where JSON takes a space.
fn commented(line: &[u8]) -> Vec<u8> {
    let mut spoiled = b": still here\n\n".to_vec();
    let comma = line
        .iter()
        .position(|byte| *byte == b',')
        .map_or(line.len(), |comma| comma + 1);
    let (head, tail) = line.split_at(comma);
    spoiled.extend_from_slice(head);
    if !tail.is_empty() {
        spoiled.extend_from_slice(b"\n: in between\ndata: ");
    }
    spoiled.extend_from_slice(tail);
    spoiled
}

fn error_event() -> Vec<u8> {
    let error = json!({ "error": { "message": "EngineCore encountered an issue \u{1b}[31m(on purpose)", "code": 500 } });
    format!("data: {error}\n\n").into_bytes()
}

fn cut(line: &mut Vec<u8>) {
    line.truncate(line.len() / 2);
    line.extend_from_slice(b"\n\n");
}

/// Puts `bytes` behind the first `mark`.
fn insert(line: &mut Vec<u8>, bytes: &[u8], mark: &[u8]) {
    if let Some(at) = line.windows(mark.len()).position(|window| window == mark) {
        line.splice(at + mark.len()..at + mark.len(), bytes.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoiled(fault: AnswerFault, chunk: u32) -> Vec<u8> {
        let mut line = b"data: {\"id\":\"x\",\"a\":\"b\"}\n\n".to_vec();
        Spoiler::new(vec![fault]).spoil(&mut line, Some(chunk));
        line
    }

    #[test]
    fn each_does_what_it_says() {
        assert_eq!(
            spoiled(AnswerFault::Crlf, 1),
            b"data: {\"id\":\"x\",\"a\":\"b\"}\r\n\r\n"
        );
        assert_eq!(
            spoiled(AnswerFault::Comments, 1),
            b": still here\n\ndata: {\"id\":\"x\",\n: in between\ndata: \"a\":\"b\"}\n\n"
        );
        assert_eq!(
            spoiled(AnswerFault::InvalidJson, 2),
            b"data: {\"id\":\"\n\n"
        );
        assert_eq!(
            spoiled(AnswerFault::InvalidJson, 1),
            spoiled(AnswerFault::NoDone, 1)
        );
        assert!(std::str::from_utf8(&spoiled(AnswerFault::InvalidUtf8, 2)).is_err());
        let long = spoiled(AnswerFault::LongLine(1000), 2);
        assert!(long.starts_with(b"data: {\"padding\":\"xx") && (1000..1100).contains(&long.len()));
    }
}
