//! A TCP stream that records the times of its first write and its last read.

use crate::driver::clock::{Stamp, WallOffset};
use hyper::rt::ReadBufCursor;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use std::cell::{Cell, RefCell};
use std::io::{Error, IoSlice, IoSliceMut, Result};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

/// The arrival time of bytes: the kernel's stamp, if there is one, and the time after the read.
/// Their difference is the client's lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The time at which the kernel received the last segment of the read.
    pub kernel: Option<Stamp>,
    /// The time at which the read returned.
    pub read: Stamp,
}

impl Arrival {
    /// Returns the kernel's stamp, or else the time after the read.
    pub fn at(self) -> Stamp {
        self.kernel.unwrap_or(self.read)
    }

    /// Returns the time between the kernel and the read, seconds.
    pub fn lag_s(self) -> f64 {
        self.kernel.map_or(0.0, |kernel| self.read.since_s(kernel))
    }
}

/// The times of a connection's socket, shared with the request that uses it.
#[derive(Debug, Default)]
pub(super) struct SocketStamps {
    /// The first write since [`SocketStamps::reset`].
    pub(super) first_write: Cell<Option<Stamp>>,
    /// The last read.
    pub(super) last_read: Cell<Option<Arrival>>,
    /// True if reads are limited to [`SMALL_READ`].
    pub(super) small_reads: Cell<bool>,
}

impl SocketStamps {
    /// Prepares for the next request.
    pub(super) fn reset(&self) {
        self.first_write.set(None);
        self.last_read.set(None);
        self.small_reads.set(true);
    }
}

/// The maximum length of a read until the first content, bytes. A read has the stamp of its last
/// segment, so later segments must not be part of it.
const SMALL_READ: usize = 512;
/// The maximum length of other reads, bytes.
const LARGE_READ: usize = 16 * 1024;

thread_local! {
    /// The read buffer of all connections of a shard.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; LARGE_READ]);
    /// The buffer for the control message with the stamp.
    static CONTROL: RefCell<Vec<u8>> = RefCell::new(nix::cmsg_space!(nix::sys::time::TimeSpec));
    static WALL: RefCell<WallOffset> = RefCell::new(WallOffset::default());
}

/// The state of the socket after a read.
enum AfterRead {
    Empty,
    MaybeMore,
}

/// hyper's I/O over a tokio stream, with stamps.
#[derive(Debug)]
pub(super) struct StampedStream {
    stream: TcpStream,
    stamps: Rc<SocketStamps>,
}

impl StampedStream {
    /// Wraps a connected stream, and requests receive stamps from the kernel.
    pub(super) fn new(stream: TcpStream, stamps: Rc<SocketStamps>) -> Result<Self> {
        stream.set_nodelay(true)?;
        // If the system refuses, `Arrival::kernel` stays empty and `read` is used.
        let _ = setsockopt(&stream, sockopt::ReceiveTimestampns, &true);
        Ok(Self { stream, stamps })
    }

    fn stamp_write(&self) {
        if self.stamps.first_write.get().is_none() {
            self.stamps.first_write.set(Some(Stamp::now()));
        }
    }

    fn receive(&self, cursor: &mut ReadBufCursor<'_>) -> Result<AfterRead> {
        let limit = if self.stamps.small_reads.get() {
            SMALL_READ
        } else {
            LARGE_READ
        };
        BUFFER.with_borrow_mut(|buffer| {
            let room = cursor.remaining().min(limit);
            let fd = self.stream.as_raw_fd();
            let (length, arrival) = CONTROL
                .with_borrow_mut(|control| receive_stamped(fd, &mut buffer[..room], control))?;
            cursor.put_slice(&buffer[..length]);
            self.stamps.last_read.set(Some(arrival));
            // An empty read is the end of the stream, which must be read again.
            Ok(if (1..room).contains(&length) {
                AfterRead::Empty
            } else {
                AfterRead::MaybeMore
            })
        })
    }
}

/// Reads once. Returns the number of bytes and their arrival.
fn receive_stamped(fd: i32, buffer: &mut [u8], control: &mut [u8]) -> Result<(usize, Arrival)> {
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(fd, &mut slices, Some(control), MsgFlags::MSG_DONTWAIT)?;
    let read = Stamp::now();
    let wall_ns = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(t) => {
            Some(t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
        }
        _ => None,
    });
    let kernel =
        wall_ns.and_then(|wall_ns| WALL.with_borrow_mut(|wall| wall.monotonic(wall_ns, read)));
    Ok((message.bytes, Arrival { kernel, read }))
}

impl hyper::rt::Read for StampedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self
                .stream
                .try_io(Interest::READABLE, || self.receive(&mut cursor))
            {
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(AfterRead::Empty) => {
                    // The next read would block: to report it is cheaper than to try. Bytes that
                    // arrive later make the socket readable again.
                    let _ = self.stream.try_io(Interest::READABLE, || {
                        Err::<(), _>(std::io::ErrorKind::WouldBlock.into())
                    });
                    return Poll::Ready(Ok(()));
                }
                Ok(AfterRead::MaybeMore) => return Poll::Ready(Ok(())),
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl hyper::rt::Write for StampedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize>> {
        self.stamp_write();
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::result::Result<usize, Error>> {
        self.stamp_write();
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
