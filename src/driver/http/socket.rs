//! A TCP stream that remembers when its bytes were written and when they arrived.

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

/// When bytes arrived: by the kernel's stamp where there is one, and by the clock right
/// after the read. Their difference is the client's own lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When the kernel received the last segment of the read.
    pub kernel: Option<Stamp>,
    /// When the read returned.
    pub read: Stamp,
}

impl Arrival {
    /// The kernel's stamp, else the clock after the read.
    pub fn at(self) -> Stamp {
        self.kernel.unwrap_or(self.read)
    }

    /// How long the bytes lay in the socket before this process took them, seconds.
    pub fn lag_s(self) -> f64 {
        self.kernel.map_or(0.0, |kernel| self.read.since_s(kernel))
    }
}

/// What the socket of one connection saw, shared with the request that uses it.
#[derive(Debug, Default)]
pub struct Marks {
    /// The first write since [`Marks::arm`].
    pub first_write: Cell<Option<Stamp>>,
    /// The last read.
    pub last_read: Cell<Option<Arrival>>,
    /// Whether reads take little at a time, see [`SMALL_READ`].
    pub small_reads: Cell<bool>,
}

impl Marks {
    /// Forgets the request before this one.
    pub fn arm(&self) {
        self.first_write.set(None);
        self.last_read.set(None);
        self.small_reads.set(true);
    }
}

/// A read has the stamp of its last segment: until the first content is seen, reads are
/// small, so that segments behind it do not move its stamp.
const SMALL_READ: usize = 512;
const LARGE_READ: usize = 16 * 1024;

thread_local! {
    /// One read buffer for all connections of a shard.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; LARGE_READ]);
    /// The place for the stamp beside it.
    static CONTROL: RefCell<Vec<u8>> = RefCell::new(nix::cmsg_space!(nix::sys::time::TimeSpec));
    static WALL: RefCell<WallOffset> = RefCell::new(WallOffset::default());
}

/// What a read has left in the socket.
enum Left {
    Nothing,
    Perhaps,
}

/// hyper's I/O over a tokio stream, with stamps.
#[derive(Debug)]
pub struct StampedStream {
    stream: TcpStream,
    marks: Rc<Marks>,
}

impl StampedStream {
    /// Wraps a connected stream; asks the kernel for receive stamps where it has them.
    pub fn new(stream: TcpStream, marks: Rc<Marks>) -> Result<Self> {
        stream.set_nodelay(true)?;
        // Where the system refuses, `Arrival::kernel` stays empty and `read` is used.
        let _ = setsockopt(&stream, sockopt::ReceiveTimestampns, &true);
        Ok(Self { stream, marks })
    }

    fn mark_write(&self) {
        if self.marks.first_write.get().is_none() {
            self.marks.first_write.set(Some(Stamp::now()));
        }
    }

    fn receive(&self, cursor: &mut ReadBufCursor<'_>) -> Result<Left> {
        let limit = if self.marks.small_reads.get() {
            SMALL_READ
        } else {
            LARGE_READ
        };
        SCRATCH.with_borrow_mut(|scratch| {
            let room = cursor.remaining().min(limit);
            let fd = self.stream.as_raw_fd();
            let (length, arrival) = CONTROL
                .with_borrow_mut(|control| receive_stamped(fd, &mut scratch[..room], control))?;
            cursor.put_slice(&scratch[..length]);
            self.marks.last_read.set(Some(arrival));
            // Nothing at all is the end, which has to be seen again.
            Ok(if (1..room).contains(&length) {
                Left::Nothing
            } else {
                Left::Perhaps
            })
        })
    }
}

/// Reads once and says when what it read arrived.
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
                Ok(Left::Nothing) => {
                    // It would block now: to say so is cheaper than to try. Whatever comes from
                    // here on rings again, and this thread hears it only after this.
                    let _ = self.stream.try_io(Interest::READABLE, || {
                        Err::<(), _>(std::io::ErrorKind::WouldBlock.into())
                    });
                    return Poll::Ready(Ok(()));
                }
                Ok(Left::Perhaps) => return Poll::Ready(Ok(())),
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
        self.mark_write();
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
        self.mark_write();
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
