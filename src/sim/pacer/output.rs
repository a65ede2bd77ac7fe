//! The destinations of the tokens of an answer.

use crate::sim::ground_truth::AnswerStamper;
use crate::sim::scheduler::{DueToken, Nanos};
use crate::sim::sse::{AnswerPart, EventWriter, PromptUsage, TokenUsage};
use crate::sim::text::AnswerText;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// The destination of the tokens of one answer.
pub(crate) enum AnswerOutput {
    /// The socket, token by token.
    Stream(Box<StreamOutput>),
    /// The waiting handler, after the last token.
    Whole(WholeOutput),
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteProgress {
    /// The kernel has everything.
    Written,
    /// The socket's buffer is full.
    Blocked,
    /// Nothing is written from now on, because of a fault.
    Stalled,
    /// The stream ended early, because its reader left or because of a fault.
    Broken,
}

impl AnswerOutput {
    /// Writes a token that is due.
    pub(crate) fn put(&mut self, token: &DueToken) -> WriteProgress {
        match self {
            Self::Stream(output) => output.put(token),
            Self::Whole(output) => output.put(token),
        }
    }

    /// Writes the rest after the socket was blocked.
    pub(crate) fn flush(&mut self) -> WriteProgress {
        match self {
            Self::Stream(output) => output.stream.lock().flush(),
            Self::Whole(_) => WriteProgress::Written,
        }
    }

    /// Ends an answer that has been written completely.
    pub(crate) fn finish(self) {
        if let Self::Stream(output) = self {
            output.stream.lock().finish();
        }
    }
}

/// A stream to a socket with all answers to one request. Each token is one write.
pub(crate) struct AnswerStream {
    socket: Arc<TcpStream>,
    events: EventWriter,
    pending: Vec<u8>,
    sent_bytes: usize,
    stamps: Option<AnswerStamper>,
    answers: u32,
    finished: u32,
    opened: bool,
    /// Usage of the answers that have ended.
    total: TokenUsage,
    /// Dropped without a message if the stream breaks.
    done: Option<oneshot::Sender<()>>,
}

impl AnswerStream {
    /// Returns a stream to a socket, and a receiver that gets a message when all is written.
    pub(crate) fn new(
        socket: Arc<TcpStream>,
        events: EventWriter,
        stamps: Option<AnswerStamper>,
    ) -> (Arc<Mutex<Self>>, oneshot::Receiver<()>) {
        let (done, written) = oneshot::channel();
        let stream = Self {
            socket,
            events,
            pending: Vec::with_capacity(1024),
            sent_bytes: 0,
            stamps,
            answers: 0,
            finished: 0,
            opened: false,
            total: TokenUsage::default(),
            done: Some(done),
        };
        (Arc::new(Mutex::new(stream)), written)
    }

    /// Returns the fault that replaces the next chunk.
    fn fault(&mut self) -> Option<WriteProgress> {
        let chunks = self.events.chunks();
        if self.events.faults().stalls(chunks) {
            return Some(WriteProgress::Stalled);
        }
        if self.events.faults().closes(chunks) {
            return Some(self.break_off());
        }
        None
    }

    fn open(&mut self, usage: TokenUsage) {
        if std::mem::replace(&mut self.opened, true) {
            return;
        }
        let before = TokenUsage {
            completion_tokens: 0,
            ..usage
        };
        self.events.open(&mut self.pending, self.answers, before);
    }

    fn part(&mut self, part: AnswerPart<'_>, due: Nanos) {
        self.events.part(&mut self.pending, part);
        if let Some(stamps) = &mut self.stamps {
            stamps.stamp_chunk(due);
        }
    }

    /// Ends one answer. The last one ends the stream.
    fn close_answer(&mut self, usage: TokenUsage, prompt_usage: PromptUsage) {
        self.total.add(usage, prompt_usage);
        self.finished += 1;
        if self.finished == self.answers {
            self.events.close(&mut self.pending, self.total);
        }
    }

    fn flush(&mut self) -> WriteProgress {
        while self.sent_bytes < self.pending.len() {
            match self.socket.try_write(&self.pending[self.sent_bytes..]) {
                Ok(bytes) => self.sent_bytes += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return WriteProgress::Blocked;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.break_off(),
            }
        }
        self.pending.clear();
        self.sent_bytes = 0;
        WriteProgress::Written
    }

    /// Ends the stream immediately, without waiting for the next token of another answer.
    fn break_off(&mut self) -> WriteProgress {
        self.done = None;
        WriteProgress::Broken
    }

    /// Reports that all is written, if all answers have ended.
    fn finish(&mut self) {
        if self.finished == self.answers
            && let Some(done) = self.done.take()
        {
            // An error means that the client has left.
            let _ = done.send(());
        }
    }
}

/// One answer of a stream. Only the pacing thread writes, so it never waits for the lock.
pub(crate) struct StreamOutput {
    stream: Arc<Mutex<AnswerStream>>,
    index: u32,
    answer: AnswerText,
    prompt_usage: PromptUsage,
    answer_bytes: usize,
    /// The text of the incomplete chunk.
    chunk: String,
}

impl StreamOutput {
    /// Adds an answer to a stream.
    pub(crate) fn new(
        stream: &Arc<Mutex<AnswerStream>>,
        answer: AnswerText,
        prompt_usage: PromptUsage,
    ) -> Self {
        let stream = Arc::clone(stream);
        let index = stream.lock().answers;
        stream.lock().answers += 1;
        Self {
            stream,
            index,
            answer,
            prompt_usage,
            answer_bytes: 0,
            chunk: String::new(),
        }
    }

    fn put(&mut self, token: &DueToken) -> WriteProgress {
        let usage = usage(token);
        let mut stream = self.stream.lock();
        if let Some(progress) = stream.fault() {
            return progress;
        }
        stream.open(usage);
        let text = self.answer.piece(token.index, self.answer_bytes);
        self.answer_bytes += text.len();
        self.chunk.push_str(text);
        let tokens_per_chunk = stream.events.faults().tokens_per_chunk();
        if token.finish.is_some() || (token.index + 1).is_multiple_of(tokens_per_chunk) {
            let part = AnswerPart {
                index: self.index,
                text: &self.chunk,
                finish: token.finish,
                usage,
            };
            stream.part(part, token.due);
            self.chunk.clear();
        }
        if token.finish.is_some() {
            stream.close_answer(usage, self.prompt_usage);
        }
        stream.flush()
    }
}

/// Sends the usage of an answer to its handler when the last token is due.
pub(crate) struct WholeOutput {
    pub(crate) reply: Option<oneshot::Sender<TokenUsage>>,
}

impl WholeOutput {
    fn put(&mut self, token: &DueToken) -> WriteProgress {
        if token.finish.is_none() {
            return WriteProgress::Written;
        }
        let sent = self.reply.take().map(|reply| reply.send(usage(token)));
        if sent.is_some_and(|sent| sent.is_ok()) {
            WriteProgress::Written
        } else {
            WriteProgress::Broken
        }
    }
}

fn usage(token: &DueToken) -> TokenUsage {
    TokenUsage {
        prompt_tokens: token.sources.prompt_tokens(),
        completion_tokens: token.index + 1,
        cached_tokens: token.sources.cached_tokens(),
    }
}
