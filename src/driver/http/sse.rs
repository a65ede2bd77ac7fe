//! Splits a byte stream into server-sent events, by the rules of the WHATWG standard.
//!
//! An event that is whole in one read is borrowed. Only an event that is split between reads, or
//! has several `data` lines, is copied.

use memchr::{memchr, memchr2};

/// The maximum length of an event, bytes. A longer one is a defect or an attack.
pub(super) const MAX_EVENT: usize = 8 * 1024 * 1024;

/// The byte order mark, which the standard ignores at the start of a stream.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The error of an event longer than [`MAX_EVENT`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventTooLong;

/// One event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SseFrame<'a> {
    /// The `event` field; empty for most.
    pub(super) name: &'a [u8],
    /// The `data` lines, joined by `\n`.
    pub(super) data: &'a [u8],
}

/// The splitter of one stream, with its state between two reads.
#[derive(Debug, Default)]
pub(super) struct SseSplitter {
    /// True after the end of the first line.
    started: bool,
    /// The start of a line whose end has not arrived.
    partial: Vec<u8>,
    /// The value of the last `event` line.
    name: Vec<u8>,
    /// The `data` of the event so far, lines joined by `\n`.
    data: Vec<u8>,
    /// True if the event has a `data` line; an empty one counts.
    has_data: bool,
    /// True if the last read ended in `\r`: a `\n` at the start of the next belongs to it.
    after_cr: bool,
}

impl SseSplitter {
    /// Adds bytes, and calls `event` with every event that they complete.
    ///
    /// # Errors
    /// Stops at the first error of `event`, or if an event is too long.
    pub(super) fn feed<E: From<EventTooLong>>(
        &mut self,
        mut bytes: &[u8],
        mut event: impl FnMut(SseFrame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if std::mem::take(&mut self.after_cr) && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
        }
        // The single `data` line of an event that is whole in `bytes`.
        let mut whole: Option<&[u8]> = None;
        // Most servers end lines with `\n` alone: one search in the whole read is cheaper than a
        // search for both in every line.
        let has_cr = memchr(b'\r', bytes).is_some();
        let line_end = |bytes: &[u8]| {
            if has_cr {
                memchr2(b'\n', b'\r', bytes)
            } else {
                memchr(b'\n', bytes)
            }
        };
        while let Some(end) = line_end(bytes) {
            let head = &bytes[..end];
            let rest = &bytes[end + 1..];
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
                self.add_line(self.without_bom(&line), &mut whole, &mut event)?;
                self.started = true;
                continue;
            }
            let line = self.without_bom(head);
            self.started = true;
            if line.is_empty() {
                self.dispatch(whole.take(), &mut event)?;
            } else if let (Some(data), None, false) = (field(line, b"data"), whole, self.has_data) {
                whole = Some(data);
            } else {
                self.add_line(line, &mut whole, &mut event)?;
            }
        }
        self.add_data(whole.take());
        self.partial.extend_from_slice(bytes);
        if self.held() > MAX_EVENT {
            Err(EventTooLong.into())
        } else {
            Ok(())
        }
    }

    /// Calls `event` with the event at the end of the stream that lacks its blank line. The
    /// standard ignores it, but some servers end with one.
    pub(super) fn finish<E>(
        &mut self,
        mut event: impl FnMut(SseFrame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = std::mem::take(&mut self.partial);
        self.add_line(self.without_bom(&line), &mut None, &mut event)?;
        self.dispatch(None, &mut event)
    }

    /// Returns the length of the incomplete event, bytes.
    pub(super) fn held(&self) -> usize {
        self.partial.len() + self.data.len()
    }

    fn without_bom<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if self.started {
            line
        } else {
            line.strip_prefix(BOM).unwrap_or(line)
        }
    }

    fn add_line<E>(
        &mut self,
        line: &[u8],
        whole: &mut Option<&[u8]>,
        event: &mut impl FnMut(SseFrame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if line.is_empty() {
            return self.dispatch(whole.take(), event);
        }
        if let Some(data) = field(line, b"data") {
            self.add_data(whole.take());
            self.add_data(Some(data));
        } else if let Some(name) = field(line, b"event") {
            self.name.clear();
            self.name.extend_from_slice(name);
        }
        Ok(())
    }

    /// Adds a `data` line to the event.
    fn add_data(&mut self, data: Option<&[u8]>) {
        let Some(data) = data else { return };
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(data);
    }

    fn dispatch<E>(
        &mut self,
        whole: Option<&[u8]>,
        event: &mut impl FnMut(SseFrame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let done = match whole {
            Some(data) => event(SseFrame {
                name: &self.name,
                data,
            }),
            None if std::mem::take(&mut self.has_data) => event(SseFrame {
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

/// Returns the value of the field `name` in a line, or `None` if the line has another field.
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

    /// Returns the events of a stream that arrives in these pieces.
    fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut splitter = SseSplitter::default();
        let mut seen = Vec::new();
        for piece in pieces {
            let fed: Result<(), EventTooLong> = splitter.feed(piece, |event| {
                seen.push(shown(event));
                Ok(())
            });
            fed.expect("short events");
        }
        seen
    }

    fn shown(SseFrame { name, data }: SseFrame<'_>) -> String {
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
    fn events_have_any_line_ends_and_several_data_lines() {
        assert_eq!(
            events([STREAM]),
            ["one", "two", "x: a\n b", "", "error: no", "[DONE]"]
        );
    }

    #[test]
    fn a_byte_order_mark_at_the_start_is_ignored() {
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
    fn finish_returns_an_event_without_its_blank_line() {
        for (stream, expected) in [
            ("data: 1\n\ndata: [DONE]\n", Some("[DONE]")),
            ("data: 1\n\ndata: [DONE]", Some("[DONE]")),
            ("\u{feff}event: error\ndata: x", Some("error: x")),
            ("data: 1\n\n", None),
            ("data: 1\n\n: comment", None),
        ] {
            let mut splitter = SseSplitter::default();
            let fed: Result<(), EventTooLong> = splitter.feed(stream.as_bytes(), |_| Ok(()));
            fed.expect("short events");
            let mut last = None;
            let ended: Result<(), EventTooLong> = splitter.finish(|event| {
                last = Some(shown(event));
                Ok(())
            });
            ended.expect("a short event");
            assert_eq!(last.as_deref(), expected, "{stream}");
        }
    }

    #[test]
    fn single_bytes_give_the_same_events() {
        assert_eq!(events(STREAM.chunks(1)), events([STREAM]));
    }

    #[test]
    fn feed_stops_at_the_first_error() {
        let mut seen = 0;
        let fed = SseSplitter::default().feed(
            b"data: 1\n\ndata: 2\n\n",
            |_| -> Result<(), EventTooLong> {
                seen += 1;
                Err(EventTooLong)
            },
        );
        assert_eq!((fed, seen), (Err(EventTooLong), 1));
    }

    proptest! {
        #[test]
        fn the_ends_of_reads_do_not_change_the_events(
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
