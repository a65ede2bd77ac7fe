//! The body of a streamed answer for hyper: it has no data, and ends when all chunks are written.

use crate::sim::pacer::{RequestTicket, SimEngine, Submission};
use bytes::Bytes;
use hyper::body::{Body, Frame};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// A request whose answers are streamed.
pub(crate) struct StreamStart {
    pub(crate) engine: Arc<SimEngine>,
    pub(crate) submissions: Vec<Submission>,
    /// Ends when all chunks are written.
    pub(crate) written: oneshot::Receiver<()>,
}

/// The body of a stream.
pub(crate) struct StreamBody(StreamState);

enum StreamState {
    /// Hyper writes the head between the first poll and the second.
    BeforeHead(StreamStart),
    AfterHead(StreamStart),
    /// The pacing thread writes to the socket.
    Running {
        written: oneshot::Receiver<()>,
        tickets: Vec<RequestTicket>,
    },
    Ended,
}

impl StreamBody {
    pub(crate) fn new(start: StreamStart) -> Self {
        Self(StreamState::BeforeHead(start))
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match std::mem::replace(&mut self.0, StreamState::Ended) {
            StreamState::BeforeHead(start) => {
                self.0 = StreamState::AfterHead(start);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            StreamState::AfterHead(start) => {
                let mut tickets = Vec::new();
                for submission in start.submissions {
                    tickets.push(start.engine.submit(submission));
                }
                self.0 = StreamState::Running {
                    written: start.written,
                    tickets,
                };
                self.poll_frame(cx)
            }
            StreamState::Running {
                mut written,
                tickets,
            } => match Pin::new(&mut written).poll(cx) {
                Poll::Pending => {
                    self.0 = StreamState::Running { written, tickets };
                    Poll::Pending
                }
                Poll::Ready(Ok(())) => Poll::Ready(None),
                Poll::Ready(Err(_)) => {
                    Poll::Ready(Some(Err(io::Error::other("the engine stopped"))))
                }
            },
            StreamState::Ended => Poll::Ready(None),
        }
    }
}
