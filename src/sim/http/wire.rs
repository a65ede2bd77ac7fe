//! A socket with two writers: hyper for heads and plain bodies, the pacing thread for the chunks of streams.
//!
//! They take turns. A stream's body is pending from hyper's point of view until the pacing thread is done with it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use nix::sys::socket::{Shutdown, shutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Hyper's end of the socket.
pub struct Wire {
    /// The socket.
    pub socket: Arc<TcpStream>,
    /// Whether it is closed behind a stream, without a word: a fault.
    pub closes_behind: bool,
}

/// What ends the body of a stream.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Wire {
    fn close(&self) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        shutdown(self.socket.as_raw_fd(), Shutdown::Write).map_err(io::Error::from)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            match self.socket.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result.map(|_| ())),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_write_ready(cx))?;
            match self.socket.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(written) if self.closes_behind && bytes[..written].ends_with(LAST_CHUNK) => {
                    self.close()?;
                    return Poll::Ready(Ok(written));
                }
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.close())
    }
}
