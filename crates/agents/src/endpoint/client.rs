//! The HTTP client of one endpoint: no proxies, no redirects, one TLS provider.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::{Client, Url};

use crate::model::ModelError;

/// The time to wait for a connection, TLS included.
///
/// Reason: a provider that is there answers in tenths of seconds, and a fallback waits behind it.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds the client. For `https` this reads the system's certificates.
pub(super) fn build(base: &Url) -> Result<Client, ModelError> {
    let mut builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false);
    let provider = rustls::crypto::ring::default_provider();
    if base.scheme() == "http" {
        // Without TLS there is nothing to trust, so a system without certificates will do.
        let tls = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(|error| ModelError::network(&error.to_string()))?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        builder = builder.tls_backend_preconfigured(tls);
    } else if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster; then its provider is the one.
        drop(provider.install_default());
    }
    builder.build().map_err(|error| ModelError::network(&chain(&error)))
}

/// Returns what an error and its causes say.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let written = write!(text, ": {error}");
        debug_assert!(written.is_ok(), "a string takes everything");
        cause = error.source();
    }
    text
}
