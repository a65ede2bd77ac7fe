//! TLS, with the certificates that this system trusts. `SSL_CERT_FILE` names others.

use std::io::{Error, Result};
use std::sync::{Arc, LazyLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

static CONFIG: LazyLock<ClientConfig> = LazyLock::new(|| {
    let mut trusted = RootCertStore::empty();
    // A certificate that cannot be read is one that is not trusted: the handshake says so.
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    builder
        .expect("ring has them")
        .with_root_certificates(trusted)
        .with_no_client_auth()
});

/// What every client of this program trusts.
pub fn config() -> ClientConfig {
    CONFIG.clone()
}

/// The reason why a connection failed, with advice about a certificate that is refused.
pub fn explained(reason: String) -> String {
    let remedy = if reason.contains("CaUsedAsEndEntity") {
        "the server's certificate is that of an authority (CA:TRUE): make it with \
         `openssl req -x509 -addext basicConstraints=critical,CA:FALSE`, and name it in SSL_CERT_FILE"
    } else if reason.contains("UnknownIssuer") {
        "name a file with the certificate, or that of its issuer, in SSL_CERT_FILE"
    } else {
        return reason;
    };
    format!("{reason}; {remedy}")
}

/// Speaks TLS over `stream`, with the server called `host`.
///
/// # Errors
/// When the server is not who it should be, or speaks no TLS.
pub async fn connect<S>(stream: S, host: &str) -> Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    static CONNECTOR: LazyLock<TlsConnector> = LazyLock::new(|| Arc::new(config()).into());
    let name = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(Error::other)?;
    CONNECTOR.connect(name, stream).await
}
