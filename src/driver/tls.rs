//! TLS, with the certificates that this system trusts, or those of `SSL_CERT_FILE`.

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
    // A certificate that cannot be read is not trusted: then the handshake fails.
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_root_certificates(trusted)
        .with_no_client_auth()
});

/// Returns the TLS configuration of every client of this program.
pub(crate) fn config() -> ClientConfig {
    CONFIG.clone()
}

/// Adds advice to the reason of a failed connection if the server's certificate was rejected.
pub(crate) fn with_advice(reason: String) -> String {
    let advice = if reason.contains("CaUsedAsEndEntity") {
        "the server's certificate is that of an authority (CA:TRUE): create it with \
         `openssl req -x509 -addext basicConstraints=critical,CA:FALSE`, and set SSL_CERT_FILE to \
         its file"
    } else if reason.contains("UnknownIssuer") {
        "set SSL_CERT_FILE to a file with the certificate of the server or of its issuer"
    } else {
        return reason;
    };
    format!("{reason}; {advice}")
}

/// Opens a TLS connection to `host` over `stream`.
///
/// # Errors
/// Fails if the handshake fails, or if the certificate is not trusted or not that of `host`.
pub(crate) async fn connect<S>(stream: S, host: &str) -> Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    static CONNECTOR: LazyLock<TlsConnector> = LazyLock::new(|| Arc::new(config()).into());
    let name = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(Error::other)?;
    CONNECTOR.connect(name, stream).await
}
