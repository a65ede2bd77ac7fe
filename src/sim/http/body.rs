//! The body of a streamed answer, as hyper sees it: no data of its own, and an end when all chunks are written.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::oneshot;

use super::super::{
    pacer::{Engine, Output, StreamOutput, Ticket},
    scheduler::{Job, Nanos},
};

/// A request that is answered by a stream.
pub struct Start {
    /// Who computes it.
    pub engine: Arc<Engine>,
    /// Its id in the API.
    pub name: String,
    /// When it arrived.
    pub arrived: Nanos,
    /// The work for each answer, and the place that its chunks go to.
    pub answers: Vec<(Job, StreamOutput)>,
    /// Ends when all chunks are written.
    pub written: oneshot::Receiver<()>,
}

/// The body of a stream.
pub struct StreamBody(State);

enum State {
    /// Hyper has not written the head yet: it does between the first poll and the second.
    Opening(Box<Start>),
    /// The head is written.
    Opened(Box<Start>),
    /// The pacing thread has the socket.
    Running {
        written: oneshot::Receiver<()>,
        tickets: Vec<Ticket>,
    },
    /// All is written.
    Over,
}

impl StreamBody {
    /// The body of this request's answer.
    pub fn new(start: Start) -> Self {
        Self(State::Opening(Box::new(start)))
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match std::mem::replace(&mut self.0, State::Over) {
            State::Opening(start) => {
                self.0 = State::Opened(start);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            State::Opened(start) => {
                let Start {
                    engine,
                    name,
                    arrived,
                    answers,
                    written,
                } = *start;
                let submit = |(job, output)| {
                    engine.submit(name.clone(), arrived, job, Output::Stream(Box::new(output)))
                };
                let tickets = answers.into_iter().map(submit).collect();
                self.0 = State::Running { written, tickets };
                self.poll_frame(cx)
            }
            State::Running {
                mut written,
                tickets,
            } => match Pin::new(&mut written).poll(cx) {
                Poll::Pending => {
                    self.0 = State::Running { written, tickets };
                    Poll::Pending
                }
                Poll::Ready(Ok(())) => Poll::Ready(None),
                Poll::Ready(Err(_)) => {
                    Poll::Ready(Some(Err(io::Error::other("the engine stopped"))))
                }
            },
            State::Over => Poll::Ready(None),
        }
    }
}
