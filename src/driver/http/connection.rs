//! The connections of one shard.

use super::failure::Failure;
use super::socket::{Marks, StampedStream};
use super::target::Target;
use crate::driver::address::Scheme;
use crate::driver::clock::Stamp;
use crate::driver::tls;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::TcpStream;

/// Both ends of hyper's handshake over `S`.
type Shaken<S> = (SendRequest<Full<Bytes>>, http1::Connection<S, Full<Bytes>>);

/// One open connection.
pub struct Connection {
    /// hyper's handle.
    pub sender: SendRequest<Full<Bytes>>,
    /// What its socket saw.
    pub marks: Rc<Marks>,
}

/// A connection that lay longer than this is not used again: servers close idle ones (uvicorn
/// after 5 s), and one that closes as we write would cost a request.
const IDLE_LIMIT_S: f64 = 1.0;

/// Idle connections by `host:port`, the last used first. It never limits how many are open.
#[derive(Default)]
pub struct Pool(RefCell<HashMap<String, Vec<(Stamp, Connection)>>>);

impl Pool {
    /// An idle connection, else a new one, and whether it is new.
    pub async fn take(&self, target: &Target) -> Result<(Connection, bool), Failure> {
        while let Some(connection) = self.idle(&target.authority) {
            if connection.sender.is_ready() && target.keeps_alive.load(Relaxed) {
                return Ok((connection, false));
            }
        }
        Ok((Self::connect(target).await?, true))
    }

    /// A new connection.
    pub async fn connect(target: &Target) -> Result<Connection, Failure> {
        let limit = Duration::from_secs_f64(target.limits.connect_s);
        let reason = match tokio::time::timeout(limit, connect(target)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(e)) => e.to_string(),
            Err(_) => format!("no answer within {} s", target.limits.connect_s),
        };
        Err(Failure::Connect { authority: target.authority.clone(), reason })
    }

    /// Takes back a connection whose answer was read to its end.
    pub fn give_back(&self, target: &Target, connection: Connection) {
        if connection.sender.is_closed() || !target.keeps_alive.load(Relaxed) {
            return;
        }
        connection.marks.idle.set(true);
        let authority = target.authority.as_str();
        let mut idle = self.0.borrow_mut();
        let entry = (Stamp::now(), connection);
        match idle.get_mut(authority) {
            Some(connections) => connections.push(entry),
            None => drop(idle.insert(authority.to_owned(), vec![entry])),
        }
    }

    fn idle(&self, authority: &str) -> Option<Connection> {
        let mut idle = self.0.borrow_mut();
        let connections = idle.get_mut(authority)?;
        let (since, connection) = connections.pop()?;
        if Stamp::now().since_s(since) > IDLE_LIMIT_S {
            connections.clear(); // whatever lies under it has lain longer
            return None;
        }
        Some(connection)
    }
}

async fn connect(target: &Target) -> Result<Connection, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(&target.authority).await?;
    let marks = Rc::new(Marks::default());
    let stream = StampedStream::new(stream, marks.clone())?;
    let host = target.authority.rsplit_once(':').map_or("", |(host, _)| host);
    Ok(match target.scheme {
        Scheme::Http => drive(target, marks, handshake(stream).await?),
        // The socket's stamps stay: of the record's last segment, before it is deciphered.
        Scheme::Https => {
            let stream = tls::connect(TokioIo::new(stream), host).await?;
            drive(target, marks, handshake(TokioIo::new(stream)).await?)
        }
    })
}

/// Keeps a connection going in the background.
fn drive<S>(target: &Target, marks: Rc<Marks>, (sender, driver): Shaken<S>) -> Connection
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let (seen, keeps_alive, opened) = (marks.clone(), target.keeps_alive.clone(), Stamp::now());
    // A broken connection is reported by the request that uses it.
    tokio::task::spawn_local(async move {
        drop(driver.await);
        // Some servers close behind every answer without saying so: llama.cpp does.
        let since_answer = seen.last_read.get().map_or(opened, |last| last.read);
        if seen.idle.get() && Stamp::now().since_s(since_answer) < IDLE_LIMIT_S {
            keeps_alive.store(false, Relaxed);
        }
    });
    Connection { sender, marks }
}
