//! The connections of one shard.

use super::drive::{Driver, is_open};
use super::failure::Failure;
use super::socket::{SocketStamps, StampedStream};
use super::target::Target;
use crate::driver::address::Scheme;
use crate::driver::clock::Stamp;
use crate::driver::tls;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;

/// One open connection.
pub(super) struct Connection {
    /// hyper's handle to send requests.
    pub(super) sender: SendRequest<Full<Bytes>>,
    /// hyper's future of the connection.
    pub(super) driver: Driver,
    /// The times of its socket.
    pub(super) stamps: Rc<SocketStamps>,
}

/// The time after which an idle connection is not used again, seconds. Servers close idle ones
/// (uvicorn after 5 s), and one that closes during a send would cost a request.
const IDLE_LIMIT_S: f64 = 1.0;

/// The idle connections by `host:port`, the last used first. The number of open ones is not
/// limited.
pub(super) struct ConnectionPool {
    idle: RefCell<HashMap<String, Vec<IdleConnection>>>,
    opened: Arc<AtomicUsize>,
}

struct IdleConnection {
    since: Stamp,
    connection: Connection,
}

impl ConnectionPool {
    /// Creates an empty pool that counts the connections it opens in `opened`.
    pub(super) fn new(opened: Arc<AtomicUsize>) -> Self {
        Self {
            idle: RefCell::default(),
            opened,
        }
    }

    /// Removes an idle connection that is still open from the pool.
    pub(super) fn reuse(&self, target: &Target) -> Option<Connection> {
        while let Some(IdleConnection {
            since,
            mut connection,
        }) = self.pop_idle(&target.authority)
        {
            if is_open(&mut connection.driver) && connection.sender.is_ready() {
                return Some(connection);
            }
            // Some servers, such as llama.cpp, close after every answer without announcing it.
            if Stamp::now().since_s(since) < IDLE_LIMIT_S {
                target.keeps_alive.store(false, Relaxed);
            }
        }
        None
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, target: &Target) -> Result<Connection, Failure> {
        self.opened.fetch_add(1, Relaxed);
        let limit_s = target.limits.connect_s.0;
        let limit = Duration::from_secs_f64(limit_s);
        let reason = match tokio::time::timeout(limit, connect(target)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(e)) => tls::with_advice(e.to_string()),
            Err(_) => format!("no answer within {limit_s} s"),
        };
        Err(Failure::Connect {
            authority: target.authority.clone(),
            reason,
        })
    }

    /// Returns a connection to the pool, after its answer was read to the end.
    pub(super) fn give_back(&self, target: &Target, connection: Connection) {
        if connection.sender.is_closed() || !target.keeps_alive.load(Relaxed) {
            return;
        }
        let authority = target.authority.as_str();
        let mut idle = self.idle.borrow_mut();
        let entry = IdleConnection {
            since: Stamp::now(),
            connection,
        };
        match idle.get_mut(authority) {
            Some(connections) => connections.push(entry),
            None => drop(idle.insert(authority.to_owned(), vec![entry])),
        }
    }

    fn pop_idle(&self, authority: &str) -> Option<IdleConnection> {
        let mut idle = self.idle.borrow_mut();
        let connections = idle.get_mut(authority)?;
        let last = connections.pop()?;
        if Stamp::now().since_s(last.since) > IDLE_LIMIT_S {
            connections.clear(); // those below it have been idle for longer
            return None;
        }
        Some(last)
    }
}

async fn connect(target: &Target) -> Result<Connection, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(&target.authority).await?;
    let stamps = Rc::new(SocketStamps::default());
    let stream = StampedStream::new(stream, stamps.clone())?;
    let (sender, driver): (_, Driver) = match target.scheme {
        Scheme::Http => {
            let (sender, driver) = handshake(stream).await?;
            (sender, Box::pin(driver))
        }
        // The stamps are those of the record's last segment, before it is decrypted.
        Scheme::Https => {
            let stream = tls::connect(TokioIo::new(stream), target.host()).await?;
            let (sender, driver) = handshake(TokioIo::new(stream)).await?;
            (sender, Box::pin(driver))
        }
    };
    Ok(Connection {
        sender,
        driver,
        stamps,
    })
}
