//! Where a server answers, as people write it.

use http::Uri;
use serde::{Deserialize, Serialize};

/// How bytes travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// As they are.
    #[default]
    Http,
    /// Through TLS.
    Https,
}

/// Where an OpenAI API answers: what stands before `/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Its name or number; a number of IPv6 in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What every path begins with, if anything.
    pub prefix: String,
}

impl Address {
    /// `host:port`, without TLS.
    pub fn plain(host: &str, port: u16) -> Self {
        Self {
            scheme: Scheme::Http,
            host: host.into(),
            port,
            prefix: String::new(),
        }
    }

    /// `host:port`.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What stands before a path.
    pub fn base(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}{}", self.authority(), self.prefix)
    }
}

/// OpenAI's clients take an address with `/v1` at its end; it is the same one.
impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wanted = "expected an address such as http://127.0.0.1:8000 or https://api.example.com";
        let uri: Uri = text
            .parse()
            .map_err(|e| format!("`{text}` is no address ({e}): {wanted}"))?;
        let (scheme, port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, 80),
            Some("https") => (Scheme::Https, 443),
            _ => return Err(format!("`{text}` is no address: {wanted}")),
        };
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(
                "an address with a password would be written down: name a variable in `api_key_env`".into()
            );
        }
        if uri.query().is_some() {
            return Err(format!("`{text}` has a query: {wanted}"));
        }
        let path = uri.path().trim_end_matches('/');
        Ok(Self {
            scheme,
            host: uri.host().unwrap_or_default().into(),
            port: uri.port_u16().unwrap_or(port),
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

    fn read(text: &str) -> Result<Address, String> {
        Address::try_from(text.to_owned())
    }

    #[test]
    fn a_path_and_the_default_ports() {
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
            assert_eq!(read(text).expect(text).base(), base);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "127.0.0.1:8000",
            "ftp://host",
            "http://",
            "",
            "http://h/?a=b",
        ] {
            let problem = read(text).expect_err(text);
            assert!(
                problem.contains("expected an address such as http://127.0.0.1:8000"),
                "{problem}"
            );
        }
        let problem = read("https://me:secret@host").expect_err("a password");
        assert!(
            problem.contains("api_key_env") && !problem.contains("secret"),
            "{problem}"
        );
    }
}
