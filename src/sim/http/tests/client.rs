//! A server to test, and a client on plain sockets.

use crate::sim::config::SimConfig;
use crate::sim::error::SimError;
use crate::sim::http::server::Simulator;
use crate::sim::timing::Timing;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The configuration of a fast server.
pub(crate) fn quick() -> SimConfig {
    let timing = Timing {
        prefill_overhead_s: 0.001,
        warmup_s: 0.0,
        itl_s: 0.0005,
        ..Timing::default()
    };
    SimConfig {
        port: 0,
        model: "m".to_owned(),
        startup_s: 0.0,
        timing,
        ..SimConfig::default()
    }
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<Result<(), SimError>>,
}

impl TestServer {
    pub(crate) async fn start(config: SimConfig) -> Self {
        let simulator = Simulator::bind(config).await.unwrap();
        let address = simulator.address();
        let (shutdown, asked) = oneshot::channel();
        let task = tokio::spawn(simulator.serve(async { drop(asked.await) }));
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        Self {
            address,
            shutdown,
            task,
        }
    }

    pub(crate) async fn open(&self, method: &str, path: &str, body: &str) -> TcpStream {
        self.open_with_id(&format!("{method} {path}"), "", body)
            .await
    }

    /// Sends a request with this `x-request-id`.
    pub(crate) async fn open_with_id(&self, target: &str, id: &str, body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{target} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\nx-request-id: {id}\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    /// Returns status and body, without the framing of chunks.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut socket = self.open(method, path, body).await;
        let mut answer = String::new();
        timeout(Duration::from_secs(10), socket.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        if head.contains("transfer-encoding: chunked") {
            (status, joined(body))
        } else {
            (status, body.to_owned())
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, text) = self.call("POST", path, &body.to_string()).await;
        (status, serde_json::from_str(&text).unwrap())
    }

    pub(crate) async fn stream(&self, path: &str, body: &Value) -> Vec<Value> {
        let (status, text) = self.call("POST", path, &body.to_string()).await;
        assert_eq!(status, 200, "{text}");
        let events: Vec<_> = text
            .split_terminator("\n\n")
            .map(|event| event.strip_prefix("data: ").unwrap())
            .collect();
        let (done, events) = events.split_last().unwrap();
        assert_eq!(*done, "[DONE]");
        events
            .iter()
            .map(|event| serde_json::from_str(event).unwrap())
            .collect()
    }

    /// Returns the value of a metric.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let (_, page) = self.call("GET", "/metrics", "").await;
        let found = page.lines().find_map(|found| found.strip_prefix(line));
        found
            .unwrap_or_else(|| panic!("{line}\n{page}"))
            .trim()
            .parse()
            .unwrap()
    }
}

/// Joins the chunks of a body.
pub(crate) fn joined(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, tail)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&tail[..length]);
        rest = &tail[length + 2..];
    }
    body
}

/// Returns the body of a chat request with additional fields.
pub(crate) fn chat(content: &str, more: &Value) -> Value {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": content }] });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    body
}

/// Reads until the first event of a stream arrives.
pub(crate) async fn first_event(socket: &mut TcpStream) {
    let mut received = Vec::new();
    while !received.windows(6).any(|bytes| bytes == b"data: ") {
        assert!(socket.read_buf(&mut received).await.unwrap() > 0);
    }
}
