//! The address of a server, as people write it.

use http::Uri;
use serde::{Deserialize, Serialize};

/// The scheme of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP without TLS.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
}

/// The address of an OpenAI API, without `/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The scheme.
    pub scheme: Scheme,
    /// The host name or IP address; an IPv6 address is in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The prefix of every path; it may be empty.
    pub prefix: String,
}

impl Address {
    /// Creates the address `http://host:port`.
    pub(crate) fn plain(host: &str, port: u16) -> Self {
        Self {
            scheme: Scheme::Http,
            host: host.into(),
            port,
            prefix: String::new(),
        }
    }

    /// Returns `host:port`.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Returns the URL without a path.
    pub(crate) fn base(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}{}", self.authority(), self.prefix)
    }
}

/// Removes `/v1` at the end, which the addresses of OpenAI's clients have.
impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected a URL such as http://127.0.0.1:8000 or https://api.example.com";
        let uri: Uri = text
            .parse()
            .map_err(|e| format!("invalid URL `{text}` ({e}): {EXPECTED}"))?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, 80),
            Some("https") => (Scheme::Https, 443),
            Some(_) => return Err(format!("invalid URL `{text}`: {EXPECTED}")),
            None => return Err(format!("invalid URL `{text}`: add `http://` or `https://`")),
        };
        let Some(authority) = uri.authority() else {
            return Err(format!("invalid URL `{text}`: {EXPECTED}"));
        };
        if authority.as_str().contains('@') {
            return Err(
                "invalid URL: it contains a user or a password, which would be written to \
                the results; name a variable in `api_key_env`"
                    .into(),
            );
        }
        if uri.query().is_some() {
            return Err(format!("invalid URL `{text}`: remove the query"));
        }
        let path = uri.path().trim_end_matches('/');
        Ok(Self {
            scheme,
            host: authority.host().into(),
            port: uri.port_u16().unwrap_or(default_port),
            prefix: path.strip_suffix("/v1").unwrap_or(path).into(),
        })
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.base()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, String> {
        Address::try_from(text.to_owned())
    }

    #[test]
    fn addresses_have_default_ports_and_no_version() {
        for (text, base) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://gpu-1/", "http://gpu-1:80"),
            ("https://api.example.com/v1", "https://api.example.com:443"),
            (
                "https://example.com/openai/v1/",
                "https://example.com:443/openai",
            ),
            ("http://[::1]:8000", "http://[::1]:8000"),
        ] {
            assert_eq!(parse(text).expect(text).base(), base);
        }
    }

    #[test]
    fn invalid_addresses_are_errors() {
        for (text, advice) in [
            ("127.0.0.1:8000", "add `http://` or `https://`"),
            (
                "ftp://host",
                "expected a URL such as http://127.0.0.1:8000 or https://api.example.com",
            ),
            ("http://", "expected a URL such as"),
            ("", "expected a URL such as"),
            ("http://h/?a=b", "remove the query"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(
                error.starts_with(&format!("invalid URL `{text}`")) && error.contains(advice),
                "{error}"
            );
        }
        let error = parse("https://me:secret@host").expect_err("a password");
        assert!(
            error.contains("api_key_env") && !error.contains("secret"),
            "{error}"
        );
    }
}
