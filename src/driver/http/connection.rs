//! The connections of one shard.

use super::drive::{Driver, is_open};
use super::failure::Failure;
use super::socket::{Marks, StampedStream};
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
pub struct Connection {
    /// hyper's handle.
    pub sender: SendRequest<Full<Bytes>>,
    /// hyper's side of it.
    pub driver: Driver,
    /// What its socket saw.
    pub marks: Rc<Marks>,
}

/// A connection that lay longer than this is not used again: servers close idle ones (uvicorn
/// after 5 s), and one that closes as we write would cost a request.
const IDLE_LIMIT_S: f64 = 1.0;

/// Idle connections by `host:port`, the last used first. It never limits how many are open.
pub struct Pool {
    idle: RefCell<HashMap<String, Vec<(Stamp, Connection)>>>,
    opened: Arc<AtomicUsize>,
}

impl Pool {
    /// An empty pool that counts in `opened` how many connections it makes.
    pub fn new(opened: Arc<AtomicUsize>) -> Self {
        Self {
            idle: RefCell::default(),
            opened,
        }
    }

    /// An idle connection, else a new one, and whether it is new.
    pub async fn take(&self, target: &Target) -> Result<(Connection, bool), Failure> {
        while let Some((since, mut connection)) = self.idle(&target.authority) {
            if is_open(&mut connection.driver) && connection.sender.is_ready() {
                return Ok((connection, false));
            }
            // Some servers close behind every answer without saying so: llama.cpp does.
            if Stamp::now().since_s(since) < IDLE_LIMIT_S {
                target.keeps_alive.store(false, Relaxed);
            }
        }
        Ok((self.connect(target).await?, true))
    }

    /// A new connection.
    pub async fn connect(&self, target: &Target) -> Result<Connection, Failure> {
        self.opened.fetch_add(1, Relaxed);
        let limit = Duration::from_secs_f64(target.limits.connect_s);
        let reason = match tokio::time::timeout(limit, connect(target)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(e)) => tls::explained(e.to_string()),
            Err(_) => format!("no answer within {} s", target.limits.connect_s),
        };
        Err(Failure::Connect {
            authority: target.authority.clone(),
            reason,
        })
    }

    /// Takes back a connection whose answer was read to its end.
    pub fn give_back(&self, target: &Target, connection: Connection) {
        if connection.sender.is_closed() || !target.keeps_alive.load(Relaxed) {
            return;
        }
        let authority = target.authority.as_str();
        let mut idle = self.idle.borrow_mut();
        let entry = (Stamp::now(), connection);
        match idle.get_mut(authority) {
            Some(connections) => connections.push(entry),
            None => drop(idle.insert(authority.to_owned(), vec![entry])),
        }
    }

    fn idle(&self, authority: &str) -> Option<(Stamp, Connection)> {
        let mut idle = self.idle.borrow_mut();
        let connections = idle.get_mut(authority)?;
        let (since, connection) = connections.pop()?;
        if Stamp::now().since_s(since) > IDLE_LIMIT_S {
            connections.clear(); // whatever lies under it has lain longer
            return None;
        }
        Some((since, connection))
    }
}

async fn connect(target: &Target) -> Result<Connection, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(&target.authority).await?;
    let marks = Rc::new(Marks::default());
    let stream = StampedStream::new(stream, marks.clone())?;
    let (sender, driver): (_, Driver) = match target.scheme {
        Scheme::Http => {
            let (sender, driver) = handshake(stream).await?;
            (sender, Box::pin(driver))
        }
        // The socket's stamps stay: of the record's last segment, before it is deciphered.
        Scheme::Https => {
            let stream = tls::connect(TokioIo::new(stream), target.host()).await?;
            let (sender, driver) = handshake(TokioIo::new(stream)).await?;
            (sender, Box::pin(driver))
        }
    };
    Ok(Connection {
        sender,
        driver,
        marks,
    })
}
