//! A socket with two writers: hyper for heads and plain bodies, the pacing thread for streams.
//!
//! They never write at the same time: for hyper, the body of a stream is pending until the pacing
//! thread has written it.

use nix::sys::socket::{Shutdown, shutdown};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The socket of a connection, as hyper uses it.
pub(crate) struct SharedSocket {
    pub(crate) socket: Arc<TcpStream>,
    /// True if the socket is closed after a stream without notice, which is a fault.
    pub(crate) closes_after_stream: bool,
}

/// The end of the body of a stream.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl SharedSocket {
    fn close(&self) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        shutdown(self.socket.as_raw_fd(), Shutdown::Write).map_err(io::Error::from)
    }
}

impl AsyncRead for SharedSocket {
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

impl AsyncWrite for SharedSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_write_ready(cx))?;
            match self.socket.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(written)
                    if self.closes_after_stream && bytes[..written].ends_with(LAST_CHUNK) =>
                {
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
