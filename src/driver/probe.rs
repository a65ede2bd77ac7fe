//! Requests to a server that are not measured: its health, its models, its metrics.

use super::text::printable;
use super::tls;
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The reason why a request has no usable answer.
#[derive(Debug, Error)]
pub(crate) enum ProbeError {
    /// The server does not answer.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The URL of the request.
        url: String,
        /// The system's message.
        reason: String,
    },
    /// The status is not 200.
    #[error("{url} answered {status}")]
    Status {
        /// The URL of the request.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The answer is a redirect. It is not followed, as it may lead to any host.
    #[error("{url} answered {status}, a redirect to `{to}`: set `url` to that address")]
    Moved {
        /// The URL of the request.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The address of the redirect, without the path of the request.
        to: String,
    },
    /// The body is not that of the API.
    #[error("{url} sent an unexpected answer: {reason}")]
    Body {
        /// The URL of the request.
        url: String,
        /// The parser's message.
        reason: String,
    },
}

/// The client for all probes. It ignores the proxies of the environment, as engines are local.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(tls::config())
        .build()
        .expect("a client with a TLS configuration needs nothing from the system")
});

/// The headers of a request, by name.
pub(crate) type Headers = BTreeMap<String, String>;

/// The maximum length of the address in a message, characters.
const MAX_ADDRESS: usize = 200;

/// The maximum length of an answer, bytes.
const MAX_BODY: usize = 16 << 20;

/// Returns the body of `url`.
///
/// # Errors
/// Fails if the server does not answer with 200 within `limit`.
pub(crate) async fn get(url: &str, limit: Duration) -> Result<String, ProbeError> {
    get_with(url, &Headers::new(), limit).await
}

/// Returns the body of `url`, requested with `headers`.
///
/// # Errors
/// Fails as [`get`] does.
pub(crate) async fn get_with(
    url: &str,
    headers: &Headers,
    limit: Duration,
) -> Result<String, ProbeError> {
    send(url, CLIENT.get(url).timeout(limit), headers).await
}

/// Sends a request to `url`, and returns the body of the answer.
async fn send(
    url: &str,
    mut request: RequestBuilder,
    headers: &Headers,
) -> Result<String, ProbeError> {
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.send().await.map_err(|e| unreachable(url, &e))?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(status_error(url, &response));
    }
    let body = body_of(response).await.map_err(|e| unreachable(url, &e))?;
    body.ok_or_else(|| ProbeError::Body {
        url: url.into(),
        reason: format!("more than {} MiB", MAX_BODY >> 20),
    })
}

fn unreachable(url: &str, error: &reqwest::Error) -> ProbeError {
    ProbeError::Unreachable {
        url: url.into(),
        reason: tls::with_advice(root_cause(error)),
    }
}

fn status_error(url: &str, response: &Response) -> ProbeError {
    let status = response.status().as_u16();
    let location = response
        .headers()
        .get("location")
        .and_then(|location| location.to_str().ok());
    match location {
        Some(location) if response.status().is_redirection() => ProbeError::Moved {
            url: url.into(),
            status,
            to: without_path(location, url),
        },
        _ => ProbeError::Status {
            url: url.into(),
            status,
        },
    }
}

/// Returns the target of a redirect without the path of the request, printable.
fn without_path(location: &str, url: &str) -> String {
    let path = url.splitn(4, '/').nth(3).unwrap_or("");
    let address = location
        .strip_suffix(&format!("/{path}"))
        .unwrap_or(location);
    printable(address).chars().take(MAX_ADDRESS).collect()
}

/// Returns the body of an answer, or `None` if it is longer than [`MAX_BODY`].
async fn body_of(mut response: Response) -> reqwest::Result<Option<String>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_BODY {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8_lossy(&body).into_owned()))
}

/// Sends `command` to a server that does not speak HTTP, and returns the start of its answer.
///
/// # Errors
/// Fails if the server does not answer within `limit`.
pub(crate) async fn send_command(
    address: (&str, u16),
    command: &str,
    limit: Duration,
) -> std::io::Result<String> {
    let conversation = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(command.as_bytes()).await?;
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    tokio::time::timeout(limit, conversation).await?
}

/// Returns true if a server accepts a connection within `limit`.
pub(crate) async fn accepts(address: (&str, u16), limit: Duration) -> bool {
    let connected = tokio::time::timeout(limit, TcpStream::connect(address)).await;
    matches!(connected, Ok(Ok(_)))
}

/// Returns the names of the models that the server at `base` serves.
///
/// # Errors
/// Fails if the server does not list them within `limit`.
pub(crate) async fn models(base: &str, limit: Duration) -> Result<Vec<String>, ProbeError> {
    let models = models_with(base, &Headers::new(), limit).await?;
    Ok(models.into_iter().map(|model| model.id).collect())
}

/// A model that a server lists.
#[derive(Debug, Deserialize)]
pub(crate) struct Model {
    /// The name for requests.
    pub(crate) id: String,
    /// The organization or program that owns it.
    #[serde(default)]
    pub(crate) owned_by: String,
}

/// Returns the models that the server at `base` serves, requested with `headers`.
///
/// # Errors
/// Fails as [`models`] does.
pub(crate) async fn models_with(
    base: &str,
    headers: &Headers,
    limit: Duration,
) -> Result<Vec<Model>, ProbeError> {
    #[derive(Deserialize)]
    struct Models {
        data: Vec<Model>,
    }
    let url = format!("{base}/v1/models");
    let body = get_with(&url, headers, limit).await?;
    let mut models: Models = parse(&url, &body)?;
    for model in &mut models.data {
        model.id = printable(&model.id);
    }
    Ok(models.data)
}

/// A server's tokenizer.
pub(crate) struct TokenizeEndpoint<'a> {
    /// The URL that counts tokens.
    pub(crate) url: &'a str,
    /// The headers of a request.
    pub(crate) headers: &'a Headers,
    /// The name of the model.
    pub(crate) model: &'a str,
}

impl TokenizeEndpoint<'_> {
    /// Returns the number of tokens of `text`, without special tokens.
    ///
    /// # Errors
    /// Fails if the server does not count them within `limit`.
    pub(crate) async fn count(&self, text: &str, limit: Duration) -> Result<u64, ProbeError> {
        #[derive(Deserialize)]
        struct Tokens {
            #[serde(default)]
            count: Option<u64>,
            #[serde(default)]
            tokens: Vec<serde_json::Value>,
        }
        // vLLM and SGLang call the text `prompt`, llama.cpp `content`; each ignores the other
        // field.
        let body = serde_json::json!({
            "model": self.model,
            "prompt": text,
            "content": text,
            "add_special_tokens": false,
            "add_special": false,
        });
        let request = CLIENT.post(self.url).json(&body).timeout(limit);
        let body = send(self.url, request, self.headers).await?;
        let tokens: Tokens = parse(self.url, &body)?;
        Ok(tokens.count.unwrap_or(tokens.tokens.len() as u64))
    }
}

fn parse<'a, T: Deserialize<'a>>(url: &str, body: &'a str) -> Result<T, ProbeError> {
    serde_json::from_str(body).map_err(|e| ProbeError::Body {
        url: url.into(),
        reason: e.to_string(),
    })
}

/// Returns the names of models as a list for a message.
pub(crate) fn quoted_list(models: &[impl AsRef<str>]) -> String {
    if models.is_empty() {
        return "no model".into();
    }
    let quoted: Vec<String> = models
        .iter()
        .map(|model| format!("`{}`", model.as_ref()))
        .collect();
    quoted.join(", ")
}

/// Returns the samples of the metric `name` in a Prometheus text: labels as written, and value.
pub(crate) fn samples<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None if rest.starts_with(' ') => ("", rest),
            None => return None,
        };
        Some((labels, value.split_whitespace().next()?.parse().ok()?))
    })
}

fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn samples_of_one_metric() {
        let text = "# HELP a b\nx_total 3\nx_total_more 4\n\
            x{gpu=\"0\",m=\"a b\"} 40321.0 1700000000\nx 2.5\n";
        assert_eq!(
            samples(text, "x").collect::<Vec<_>>(),
            [("gpu=\"0\",m=\"a b\"", 40321.0), ("", 2.5)]
        );
        assert_eq!(samples(text, "x_total").collect::<Vec<_>>(), [("", 3.0)]);
        assert_eq!(samples(text, "y").count(), 0);
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("its address"));
        let asked = std::thread::spawn(move || {
            for location in ["http://other.example/health", "/elsewhere"] {
                let (mut stream, _) = listener.accept().expect("a question");
                let _ = stream.read(&mut [0; 4096]);
                let answer = format!(
                    "HTTP/1.1 302 X\r\nlocation: {location}\r\ncontent-length: 0\r\n\
                    connection: close\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).expect("an answer");
            }
        });
        for to in ["http://other.example", "/elsewhere"] {
            let error = get(&format!("{base}/health"), Duration::from_mins(1))
                .await
                .expect_err("a redirect");
            assert_eq!(
                error.to_string(),
                format!(
                    "{base}/health answered 302, a redirect to `{to}`: set `url` to that address"
                )
            );
        }
        asked.join().expect("two questions");
    }

    #[tokio::test]
    async fn an_endless_answer_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!(
            "http://{}/health",
            listener.local_addr().expect("its address")
        );
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a question");
            // An answer before its request would be an error.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 1 << 12]).is_ok() {}
        });
        let error = get(&url, Duration::from_mins(1)).await.expect_err("no end");
        let text = error.to_string();
        assert!(
            text.ends_with("/health sent an unexpected answer: more than 16 MiB"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn samples_accepts_any_text(text in "[x{}=\", 0-9.eE+\\n#-]{0,80}", name in "x{0,2}") {
            for (labels, value) in samples(&text, &name) {
                prop_assert!(text.contains(labels) && !value.to_string().is_empty());
            }
        }
    }
}
