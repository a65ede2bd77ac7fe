//! Questions to a server that are not measured: is it healthy, what does it serve, what do
//! its metrics say.

use super::text::printable;
use super::tls;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// No HTTP answer at all.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// Not 200.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A redirect, which is not followed: it may lead to any host.
    #[error("{url} answered {status}: answers are at `{to}`: give that as `url`")]
    Moved {
        /// The address that was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The address that it names, without the path that was asked for.
        to: String,
    },
    /// Not the body that the API promises.
    #[error("{url} answered something else than expected: {reason}")]
    Body {
        /// What was asked.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

/// Proxies of the environment are for the outside world, not for the engine next door.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(tls::config());
    client
        .build()
        .expect("a client that has its TLS needs nothing from the system")
});

/// Headers that a question carries, by name.
pub type Headers = BTreeMap<String, String>;

fn with(request: reqwest::RequestBuilder, headers: &Headers) -> reqwest::RequestBuilder {
    headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}

/// The body of `url`.
///
/// # Errors
/// When it does not answer 200 in time.
pub async fn get(url: &str, limit: Duration) -> Result<String, ProbeError> {
    get_as(url, &Headers::new(), limit).await
}

/// The body of `url`, asked for with `headers`.
///
/// # Errors
/// When it does not answer 200 in time.
pub async fn get_as(url: &str, headers: &Headers, limit: Duration) -> Result<String, ProbeError> {
    let unreachable = |e: reqwest::Error| ProbeError::Unreachable {
        url: url.into(),
        reason: tls::explained(root_cause(&e)),
    };
    let request = CLIENT.get(url).timeout(limit);
    let response = with(request, headers).send().await.map_err(unreachable)?;
    match response.status().as_u16() {
        200 => text_of(response)
            .await
            .map_err(unreachable)?
            .ok_or_else(|| ProbeError::Body {
                url: url.into(),
                reason: format!("more than {} MiB", LONGEST >> 20),
            }),
        status => Err(not_200(url, status, response.headers())),
    }
}

fn not_200(url: &str, status: u16, headers: &reqwest::header::HeaderMap) -> ProbeError {
    let url = url.to_owned();
    let location = headers
        .get("location")
        .and_then(|location| location.to_str().ok());
    match location.filter(|_| (300..400).contains(&status)) {
        Some(location) => {
            let path = url.splitn(4, '/').nth(3).unwrap_or_default();
            let to = location
                .strip_suffix(&format!("/{path}"))
                .unwrap_or(location);
            let to = printable(to).chars().take(LONGEST_ADDRESS).collect();
            ProbeError::Moved { url, status, to }
        }
        None => ProbeError::Status { url, status },
    }
}

/// Characters of an address that a message shows.
const LONGEST_ADDRESS: usize = 200;

/// An answer that is longer is none that anybody needs.
const LONGEST: usize = 16 << 20;

/// The body of an answer; `None` where it has no end in sight.
async fn text_of(mut response: reqwest::Response) -> reqwest::Result<Option<String>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        body.extend_from_slice(&piece);
        if body.len() > LONGEST {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8_lossy(&body).into_owned()))
}

/// What the server at `host:port` says to `question`, which is no HTTP: the first that it sends.
///
/// # Errors
/// When it does not answer in time.
pub async fn ask(
    host: &str,
    port: u16,
    question: &str,
    limit: Duration,
) -> std::io::Result<String> {
    let conversation = async {
        let mut stream = tokio::net::TcpStream::connect((host, port)).await?;
        stream.write_all(question.as_bytes()).await?;
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    tokio::time::timeout(limit, conversation).await?
}

/// Whether `host:port` takes a connection in time.
pub async fn accepts(host: &str, port: u16, limit: Duration) -> bool {
    let connected = tokio::time::timeout(limit, tokio::net::TcpStream::connect((host, port))).await;
    matches!(connected, Ok(Ok(_)))
}

/// The models that the server at `base` says it serves.
///
/// # Errors
/// When it does not say.
pub async fn models(base: &str, limit: Duration) -> Result<Vec<String>, ProbeError> {
    let models = models_as(base, &Headers::new(), limit).await?;
    Ok(models.into_iter().map(|model| model.id).collect())
}

/// A model that a server says it serves.
#[derive(Debug, Deserialize)]
pub struct Model {
    /// How requests name it.
    pub id: String,
    /// Who made it, or serves it.
    #[serde(default)]
    pub owned_by: String,
}

/// Returns the models that the server at `base` serves, asked with `headers`.
///
/// # Errors
/// When it does not say.
pub async fn models_as(
    base: &str,
    headers: &Headers,
    limit: Duration,
) -> Result<Vec<Model>, ProbeError> {
    #[derive(Deserialize)]
    struct Models {
        data: Vec<Model>,
    }
    let url = format!("{base}/v1/models");
    let body = get_as(&url, headers, limit).await?;
    let models: Models = serde_json::from_str(&body).map_err(|e| ProbeError::Body {
        url,
        reason: e.to_string(),
    })?;
    let printable = |model: Model| Model {
        id: printable(&model.id),
        ..model
    };
    Ok(models.data.into_iter().map(printable).collect())
}

/// How many tokens the server at `url` counts in `text`, without any that it adds.
///
/// # Errors
/// When it does not say.
pub async fn count_tokens(
    url: &str,
    headers: &Headers,
    model: &str,
    text: &str,
    limit: Duration,
) -> Result<u64, ProbeError> {
    #[derive(Deserialize)]
    struct Tokens {
        #[serde(default)]
        count: Option<u64>,
        #[serde(default)]
        tokens: Vec<serde_json::Value>,
    }
    // vLLM and SGLang call the text `prompt`, llama.cpp `content`; each ignores the other's word.
    let body = serde_json::json!({
        "model": model, "prompt": text, "content": text, "add_special_tokens": false, "add_special": false,
    });
    let unreachable = |e: reqwest::Error| ProbeError::Unreachable {
        url: url.into(),
        reason: tls::explained(root_cause(&e)),
    };
    let request = CLIENT.post(url).json(&body).timeout(limit);
    let response = with(request, headers).send().await.map_err(unreachable)?;
    match response.status().as_u16() {
        200 => {}
        status => return Err(not_200(url, status, response.headers())),
    }
    let body = text_of(response)
        .await
        .map_err(unreachable)?
        .unwrap_or_default();
    let tokens: Tokens = serde_json::from_str(&body).map_err(|e| ProbeError::Body {
        url: url.into(),
        reason: e.to_string(),
    })?;
    Ok(tokens.count.unwrap_or(tokens.tokens.len() as u64))
}

/// Model names as a message has them.
pub fn named(models: &[impl AsRef<str>]) -> String {
    match models {
        [] => "no model".into(),
        models => models
            .iter()
            .map(|model| format!("`{}`", model.as_ref()))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// The samples of a Prometheus text whose metric is `name`: labels as written, and value.
pub fn samples<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
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

    #[test]
    fn samples_of_one_metric() {
        let text = "# HELP a b\nx_total 3\nx_total_more 4\nx{gpu=\"0\",m=\"a b\"} 40321.0 1700000000\nx 2.5\n";
        assert_eq!(
            samples(text, "x").collect::<Vec<_>>(),
            [("gpu=\"0\",m=\"a b\"", 40321.0), ("", 2.5)]
        );
        assert_eq!(samples(text, "x_total").collect::<Vec<_>>(), [("", 3.0)]);
        assert_eq!(samples(text, "y").count(), 0);
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("its address"));
        let asked = std::thread::spawn(move || {
            for location in ["http://other.example/health", "/elsewhere"] {
                let (mut stream, _) = listener.accept().expect("a question");
                let _ = stream.read(&mut [0; 4096]);
                let answer = format!(
                    "HTTP/1.1 302 X\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).expect("an answer");
            }
        });
        for to in ["http://other.example", "/elsewhere"] {
            let error = get(&format!("{base}/health"), Duration::from_mins(1))
                .await
                .expect_err("a redirect");
            let said =
                format!("{base}/health answered 302: answers are at `{to}`: give that as `url`");
            assert_eq!(error.to_string(), said);
        }
        asked.join().expect("two questions");
    }

    #[tokio::test]
    async fn an_answer_without_end_is_not_kept() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!(
            "http://{}/health",
            listener.local_addr().expect("its address")
        );
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a question");
            // An answer before its question is no answer.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 1 << 12]).is_ok() {}
        });
        let error = get(&url, Duration::from_mins(1)).await.expect_err("no end");
        let text = error.to_string();
        assert!(
            text.ends_with("/health answered something else than expected: more than 16 MiB"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn any_text_has_samples_or_none(text in "[x{}=\", 0-9.eE+\\n#-]{0,80}", name in "x{0,2}") {
            for (labels, value) in samples(&text, &name) {
                prop_assert!(text.contains(labels) && !value.to_string().is_empty());
            }
        }
    }
}
