//! Splits a byte stream into server-sent events, by the rules of the WHATWG standard.
//!
//! An event that lies whole in one read is handed on borrowed; only what straddles reads,
//! or has several `data` lines, is copied.

use memchr::{memchr, memchr2};

/// An event longer than this is an attack or a defect, not an answer.
pub const EVENT_LIMIT: usize = 8 * 1024 * 1024;

/// A byte order mark, which the standard drops at the start of a stream.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The event outgrew [`EVENT_LIMIT`].
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

/// One event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its `event` field; empty for most.
    pub name: &'a [u8],
    /// Its `data` lines, joined by `\n`.
    pub data: &'a [u8],
}

/// The state between two reads.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The first line has ended.
    begun: bool,
    /// A line whose end has not arrived.
    partial: Vec<u8>,
    /// The value of the last `event` line.
    name: Vec<u8>,
    /// The `data` of the event so far, lines joined by `\n`.
    data: Vec<u8>,
    /// Whether the event has a `data` line at all: an empty one counts.
    any_data: bool,
    /// The last read ended in `\r`: a `\n` at the start of the next belongs to it.
    after_cr: bool,
}

impl Splitter {
    /// Takes what was read and calls `event` with every event that it completes.
    ///
    /// Stops at the first error of `event`.
    pub fn feed<E: From<TooLong>>(
        &mut self,
        mut bytes: &[u8],
        mut event: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if std::mem::take(&mut self.after_cr) && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
        }
        // The one `data` line of an event that lies whole in `bytes`.
        let mut whole: Option<&[u8]> = None;
        // Most servers end lines with `\n` alone: one look at the whole read is cheaper than one for
        // both at every line.
        let has_cr = memchr(b'\r', bytes).is_some();
        let line_end = |bytes: &[u8]| {
            if has_cr {
                memchr2(b'\n', b'\r', bytes)
            } else {
                memchr(b'\n', bytes)
            }
        };
        while let Some(end) = line_end(bytes) {
            let (head, rest) = (&bytes[..end], &bytes[end + 1..]);
            let crlf = bytes[end] == b'\r';
            self.after_cr = crlf && rest.is_empty();
            bytes = if crlf {
                rest.strip_prefix(b"\n").unwrap_or(rest)
            } else {
                rest
            };
            if !self.partial.is_empty() {
                self.partial.extend_from_slice(head);
                let line = std::mem::take(&mut self.partial);
                self.take_line(self.without_bom(&line), &mut whole, &mut event)?;
                self.begun = true;
                continue;
            }
            let line = self.without_bom(head);
            self.begun = true;
            if line.is_empty() {
                self.dispatch(whole.take(), &mut event)?;
            } else if let (Some(data), None, false) = (field(line, b"data"), whole, self.any_data) {
                whole = Some(data);
            } else {
                self.take_line(line, &mut whole, &mut event)?;
            }
        }
        self.keep(whole.take());
        self.partial.extend_from_slice(bytes);
        if self.held() > EVENT_LIMIT {
            Err(TooLong.into())
        } else {
            Ok(())
        }
    }

    /// Calls `event` with what is left at the end of the stream, which lacks its blank line. The
    /// standard drops it; some servers end so.
    pub fn finish<E>(
        &mut self,
        mut event: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = std::mem::take(&mut self.partial);
        self.take_line(self.without_bom(&line), &mut None, &mut event)?;
        self.dispatch(None, &mut event)
    }

    /// The number of bytes of an event that has not ended.
    pub fn held(&self) -> usize {
        self.partial.len() + self.data.len()
    }

    fn without_bom<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if self.begun {
            line
        } else {
            line.strip_prefix(BOM).unwrap_or(line)
        }
    }

    fn take_line<E>(
        &mut self,
        line: &[u8],
        whole: &mut Option<&[u8]>,
        event: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if line.is_empty() {
            return self.dispatch(whole.take(), event);
        }
        if let Some(data) = field(line, b"data") {
            self.keep(whole.take());
            self.keep(Some(data));
        } else if let Some(name) = field(line, b"event") {
            self.name.clear();
            self.name.extend_from_slice(name);
        }
        Ok(())
    }

    /// Adds a `data` line to the event.
    fn keep(&mut self, data: Option<&[u8]>) {
        let Some(data) = data else { return };
        if self.any_data {
            self.data.push(b'\n');
        }
        self.any_data = true;
        self.data.extend_from_slice(data);
    }

    fn dispatch<E>(
        &mut self,
        whole: Option<&[u8]>,
        event: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let done = match whole {
            Some(data) => event(Frame {
                name: &self.name,
                data,
            }),
            None if std::mem::take(&mut self.any_data) => event(Frame {
                name: &self.name,
                data: &self.data,
            }),
            None => Ok(()),
        };
        self.name.clear();
        self.data.clear();
        done
    }
}

/// The value that a line gives to the field `name`; comments and other fields give it none.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?;
    match value.strip_prefix(b":") {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None => value.is_empty().then_some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The events of a stream that arrives in the given pieces.
    fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut seen = Vec::new();
        for piece in pieces {
            let fed: Result<(), TooLong> = splitter.feed(piece, |event| {
                seen.push(shown(event));
                Ok(())
            });
            fed.expect("short events");
        }
        seen
    }

    fn shown(Frame { name, data }: Frame<'_>) -> String {
        let data = String::from_utf8_lossy(data);
        if name.is_empty() {
            data.into()
        } else {
            format!("{}: {data}", String::from_utf8_lossy(name))
        }
    }

    const STREAM: &[u8] =
        b": hello\n\ndata: one\n\ndata:two\r\n\r\nevent: x\rdata: a\rdata:  b\r\rid: 7\n\ndata\n\n\
        event:error\ndata: no\n\nevent: forgotten\n\ndata: [DONE]\n\ndata: cut off";

    #[test]
    fn comments_line_ends_and_several_data_lines() {
        assert_eq!(
            events([STREAM]),
            ["one", "two", "x: a\n b", "", "error: no", "[DONE]"]
        );
    }

    #[test]
    fn a_byte_order_mark_at_the_start_is_dropped() {
        for size in [1, 2, 100] {
            assert_eq!(
                events(b"\xef\xbb\xbfdata: 1\n\ndata: 2\n\n".chunks(size)),
                ["1", "2"]
            );
            let later = b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n";
            assert_eq!(events(later.chunks(size)), ["1"], "only at the start");
        }
    }

    #[test]
    fn an_event_without_its_blank_line_is_told_at_the_end() {
        for (stream, expected) in [
            ("data: 1\n\ndata: [DONE]\n", Some("[DONE]")),
            ("data: 1\n\ndata: [DONE]", Some("[DONE]")),
            ("\u{feff}event: error\ndata: x", Some("error: x")),
            ("data: 1\n\n", None),
            ("data: 1\n\n: comment", None),
        ] {
            let mut splitter = Splitter::default();
            let fed: Result<(), TooLong> = splitter.feed(stream.as_bytes(), |_| Ok(()));
            fed.expect("short events");
            let mut last = None;
            let ended: Result<(), TooLong> = splitter.finish(|event| {
                last = Some(shown(event));
                Ok(())
            });
            ended.expect("a short event");
            assert_eq!(last.as_deref(), expected, "{stream}");
        }
    }

    #[test]
    fn one_byte_at_a_time_is_the_same() {
        assert_eq!(events(STREAM.chunks(1)), events([STREAM]));
    }

    #[test]
    fn an_error_of_the_reader_stops_the_split() {
        let mut seen = 0;
        let fed = Splitter::default().feed(b"data: 1\n\ndata: 2\n\n", |_| -> Result<(), TooLong> {
            seen += 1;
            Err(TooLong)
        });
        assert_eq!((fed, seen), (Err(TooLong), 1));
    }

    proptest! {
        #[test]
        fn where_the_reads_end_does_not_matter(
            stream in prop::collection::vec(
                prop::sample::select(b"data: \n\r:x".to_vec()), 0..200),
            cuts in prop::collection::vec(1usize..20, 1..40),
        ) {
            let mut pieces = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            prop_assert_eq!(events(pieces), events([&stream[..]]));
        }
    }
}
