//! HTTP servers whose answers a test defines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request to a server of a test.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Method, path and headers, in small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// An answer: the code and text of the status, and the body.
pub(crate) type Answer = (&'static str, String);

/// A server of a test, with the requests that it has received.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Starts a server that answers each request by calling `answer`, and closes the connection.
    pub(crate) fn start(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Self {
            port: listener.local_addr().expect("its address").port(),
            received: Arc::default(),
        };
        let received = server.received.clone();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let received = received.clone();
                let answer = answer.clone();
                std::thread::spawn(move || {
                    // The client may have closed the connection.
                    let _ = serve(&mut stream.expect("a connection"), &received, &*answer);
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the bodies of the requests whose head contains `text`.
    pub(crate) fn bodies(&self, text: &str) -> Vec<serde_json::Value> {
        let received = self.received.lock().expect("not poisoned");
        received
            .iter()
            .filter(|request| request.head.contains(text))
            .map(|request| serde_json::from_str(&request.body).expect("JSON"))
            .collect()
    }
}

fn serve(
    stream: &mut TcpStream,
    received: &Mutex<Vec<Received>>,
    answer: &impl Fn(&Received) -> Answer,
) -> std::io::Result<()> {
    let request = read_request(stream)?;
    if request.head.is_empty() {
        return Ok(());
    }
    let (status, body) = answer(&request);
    received.lock().expect("not poisoned").push(request);
    write_answer(stream, status, &body)
}

/// Reads one request.
pub(crate) fn read_request(stream: &mut impl Read) -> std::io::Result<Received> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut line = String::new();
    while reader.read_line(&mut line)? > "\r\n".len() {
        head.push_str(&line.to_lowercase());
        line.clear();
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().expect("a number"));
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body)?;
    Ok(Received { head, body })
}

pub(crate) fn write_answer(
    stream: &mut impl Write,
    status: &str,
    body: &str,
) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    stream.flush()
}

/// Answers like `transformers serve`: refuses unknown fields, and ends streams without `[DONE]`.
pub(crate) fn strict(request: &Received) -> Answer {
    if request.head.starts_with("get /v1/models") {
        return ("200 OK", r#"{"data": [{"id": "m"}]}"#.into());
    }
    if request.body.contains("ignore_eos") {
        return (
            "422 Unprocessable Entity",
            r#"{"detail": "Unexpected fields: {'ignore_eos'}"}"#.into(),
        );
    }
    let content = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#;
    let last =
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":1}}"#;
    ("200 OK", format!("data: {content}\n\ndata: {last}\n\n"))
}
