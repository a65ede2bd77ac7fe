//! Where the tokens of one answer go.

use std::{io, sync::Arc};

use parking_lot::Mutex;
use tokio::{net::TcpStream, sync::oneshot};

use super::super::{
    scheduler::{Nanos, Step},
    sse::{Events, Part, Usage},
    truth::Stamps,
    words::Answer,
};

/// Where the tokens of one answer go.
pub enum Output {
    /// To the socket, one by one.
    Stream(Box<StreamOutput>),
    /// To the handler that waits, all at once.
    Whole(WholeOutput),
}

/// How far a write came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All is with the kernel.
    Written,
    /// The socket takes no more now.
    Blocked,
    /// Nothing is written, and nothing ever will be: a fault.
    Stalled,
    /// Nobody reads any more.
    Broken,
}

impl Output {
    /// Takes a token that is due.
    pub fn put(&mut self, step: &Step) -> Progress {
        match self {
            Self::Stream(output) => output.put(step),
            Self::Whole(whole) => whole.put(step),
        }
    }

    /// Goes on with what a blocked socket left over.
    pub fn flush(&mut self) -> Progress {
        match self {
            Self::Stream(output) => output.stream.lock().flush(),
            Self::Whole(_) => Progress::Written,
        }
    }

    /// Ends an answer of which all is written.
    pub fn finish(self) {
        if let Self::Stream(output) = self {
            output.stream.lock().finish();
        }
    }
}

/// A stream to a socket, which carries all answers to one request: one write per token.
pub struct Stream {
    socket: Arc<TcpStream>,
    events: Events,
    pending: Vec<u8>,
    sent_bytes: usize,
    stamps: Option<Stamps>,
    answers: u32,
    finished: u32,
    opened: bool,
    /// Usage of the answers that are finished.
    total: Usage,
    /// Dropped without a message if the stream breaks.
    done: Option<oneshot::Sender<()>>,
}

impl Stream {
    /// Returns a stream to this socket, and a receiver that is told when all of it is written.
    pub fn new(
        socket: Arc<TcpStream>,
        events: Events,
        stamps: Option<Stamps>,
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
            total: Usage::default(),
            done: Some(done),
        };
        (Arc::new(Mutex::new(stream)), written)
    }

    /// Returns the fault in the place of the next chunk.
    fn fault(&mut self) -> Option<Progress> {
        let (spoiler, chunks) = (self.events.spoiler(), self.events.chunks());
        if spoiler.stalls(chunks) {
            return Some(Progress::Stalled);
        }
        spoiler.closes(chunks).then(|| self.break_off())
    }

    fn open(&mut self, usage: Usage) {
        if !std::mem::replace(&mut self.opened, true) {
            self.events.open(
                &mut self.pending,
                self.answers,
                Usage {
                    completion_tokens: 0,
                    ..usage
                },
            );
        }
    }

    fn part(&mut self, part: Part<'_>, due: Nanos) {
        self.events.part(&mut self.pending, part);
        self.stamps.iter_mut().for_each(|stamps| stamps.chunk(due));
    }

    /// Counts an answer that is finished; the last one closes the stream.
    fn close_answer(&mut self, usage: Usage) {
        self.total.add(usage);
        self.finished += 1;
        if self.finished == self.answers {
            self.events.close(&mut self.pending, self.total);
        }
    }

    fn flush(&mut self) -> Progress {
        while self.sent_bytes < self.pending.len() {
            match self.socket.try_write(&self.pending[self.sent_bytes..]) {
                Ok(bytes) => self.sent_bytes += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Progress::Blocked;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.break_off(),
            }
        }
        self.pending.clear();
        self.sent_bytes = 0;
        Progress::Written
    }

    /// Ends the stream at once, so that it does not wait for the next token of another answer.
    fn break_off(&mut self) -> Progress {
        self.done = None;
        Progress::Broken
    }

    /// Reports that all is written, if no answer is left.
    fn finish(&mut self) {
        if self.finished == self.answers {
            // An error means that the client has left.
            self.done.take().map(|done| done.send(()));
        }
    }
}

/// One answer of a stream. The lock is free whenever a token is due: only the pacing thread writes.
pub struct StreamOutput {
    stream: Arc<Mutex<Stream>>,
    index: u32,
    answer: Answer,
    /// The first answer to its prompt, which counts the prompt's tokens.
    is_first: bool,
    answer_bytes: usize,
    /// Text of the chunk that is not full yet.
    chunk: String,
}

impl StreamOutput {
    /// Adds an answer to a stream.
    pub fn new(stream: &Arc<Mutex<Stream>>, answer: Answer, is_first: bool) -> Self {
        let stream = Arc::clone(stream);
        let index = stream.lock().answers;
        stream.lock().answers += 1;
        Self {
            stream,
            index,
            answer,
            is_first,
            answer_bytes: 0,
            chunk: String::new(),
        }
    }

    fn put(&mut self, step: &Step) -> Progress {
        let usage = usage(step);
        let mut stream = self.stream.lock();
        if let Some(progress) = stream.fault() {
            return progress;
        }
        stream.open(usage);
        let text = self.answer.piece(step.index, self.answer_bytes);
        self.answer_bytes += text.len();
        self.chunk.push_str(text);
        let tokens_per_chunk = stream.events.spoiler().tokens_per_chunk();
        if step.finish.is_some() || (step.index + 1).is_multiple_of(tokens_per_chunk) {
            let part = Part {
                index: self.index,
                text: &self.chunk,
                finish: step.finish,
                usage,
            };
            stream.part(part, step.due);
            self.chunk.clear();
        }
        if step.finish.is_some() {
            stream.close_answer(if self.is_first {
                usage
            } else {
                usage.without_prompt()
            });
        }
        stream.flush()
    }
}

/// Hands an answer over when its last token is due.
pub struct WholeOutput {
    /// Who waits for it.
    pub reply: Option<oneshot::Sender<Usage>>,
}

impl WholeOutput {
    fn put(&mut self, step: &Step) -> Progress {
        if step.finish.is_none() {
            return Progress::Written;
        }
        let sent = self.reply.take().map(|reply| reply.send(usage(step)));
        if sent.is_some_and(|sent| sent.is_ok()) {
            Progress::Written
        } else {
            Progress::Broken
        }
    }
}

fn usage(step: &Step) -> Usage {
    Usage {
        prompt_tokens: step.sources.prompt_tokens(),
        completion_tokens: step.index + 1,
        cached_tokens: step.sources.cached_tokens(),
    }
}
