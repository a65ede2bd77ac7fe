//! Where the tokens of one answer go.

use std::{io, sync::Arc};

use tokio::{net::TcpStream, sync::oneshot};

use super::super::{
    scheduler::Step,
    sse::{Events, Usage},
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
            Self::Stream(stream) => stream.put(step),
            Self::Whole(whole) => whole.put(step),
        }
    }

    /// Goes on with what a blocked socket left over.
    pub fn flush(&mut self) -> Progress {
        match self {
            Self::Stream(stream) => stream.flush(),
            Self::Whole(_) => Progress::Written,
        }
    }

    /// Tells whoever waits that all is written.
    pub fn finish(self) {
        if let Self::Stream(stream) = self {
            // An error means that nobody waits any more.
            let _ = stream.done.send(());
        }
    }
}

/// Writes an answer to a socket, one write a token.
pub struct StreamOutput {
    socket: Arc<TcpStream>,
    events: Events,
    answer: Answer,
    answer_bytes: usize,
    /// Text of the chunk that is not full yet.
    chunk: String,
    pending: Vec<u8>,
    sent_bytes: usize,
    stamps: Option<Stamps>,
    done: oneshot::Sender<()>,
}

impl StreamOutput {
    /// A stream to this socket, and what ends when all of it is written.
    pub fn new(
        socket: Arc<TcpStream>,
        events: Events,
        answer: Answer,
        stamps: Option<Stamps>,
    ) -> (Self, oneshot::Receiver<()>) {
        let (done, written) = oneshot::channel();
        let pending = Vec::with_capacity(1024);
        let chunk = String::new();
        (
            Self { socket, events, answer, answer_bytes: 0, chunk, pending, sent_bytes: 0, stamps, done },
            written,
        )
    }

    fn put(&mut self, step: &Step) -> Progress {
        let usage = usage(step);
        if let Some(progress) = self.fault() {
            return progress;
        }
        if step.index == 0 {
            self.events.open(&mut self.pending, Usage { completion_tokens: 0, ..usage });
        }
        let text = self.answer.piece(step.index, self.answer_bytes);
        self.answer_bytes += text.len();
        self.chunk.push_str(text);
        if step.finish.is_some() || (step.index + 1).is_multiple_of(self.events.spoiler().tokens_per_chunk())
        {
            self.events.token(&mut self.pending, &self.chunk, step.finish, usage);
            self.chunk.clear();
            self.stamps.iter_mut().for_each(|stamps| stamps.chunk(step.due));
        }
        if step.finish.is_some() {
            self.events.close(&mut self.pending, usage);
        }
        self.flush()
    }

    /// What goes wrong in the place of the next chunk.
    fn fault(&self) -> Option<Progress> {
        let (spoiler, chunks) = (self.events.spoiler(), self.events.chunks());
        let stalled = spoiler.stalls(chunks).then_some(Progress::Stalled);
        stalled.or(spoiler.closes(chunks).then_some(Progress::Broken))
    }

    fn flush(&mut self) -> Progress {
        while self.sent_bytes < self.pending.len() {
            match self.socket.try_write(&self.pending[self.sent_bytes..]) {
                Ok(bytes) => self.sent_bytes += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Progress::Broken,
            }
        }
        self.pending.clear();
        self.sent_bytes = 0;
        Progress::Written
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
        if sent.is_some_and(|sent| sent.is_ok()) { Progress::Written } else { Progress::Broken }
    }
}

fn usage(step: &Step) -> Usage {
    Usage {
        prompt_tokens: step.sources.prompt_tokens(),
        completion_tokens: step.index + 1,
        cached_tokens: step.sources.cached_tokens(),
    }
}
