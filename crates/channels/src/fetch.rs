//! Fetching a file that came with a message: bounded, and only from where the platform keeps such files.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::{ClientBuilder, RequestBuilder, Url};

use crate::http;
use crate::port::{PermanentKind, SendOutcome};

/// Why a file was not fetched.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// The connection failed, or the platform refused.
    #[error("{0}")]
    Failed(String),
    /// It is not where the platform keeps files.
    #[error("{0}")]
    Refused(String),
    /// It has more bytes than may be taken.
    #[error("it has more than {limit} bytes")]
    TooLarge {
        /// The most that may be taken.
        limit: usize,
    },
}

/// Which addresses may be connected to.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    /// Addresses that may be connected to although they are refused, each with its port. Only to them may be spoken
    /// without TLS.
    pub(crate) allow: BTreeSet<SocketAddr>,
    /// Why an address must not be connected to, if it must not.
    pub(crate) refuse: fn(IpAddr) -> Option<&'static str>,
    /// How long one request may take once it is connected.
    pub(crate) timeout: Duration,
}

impl Reach {
    /// Prepares the client of one request: it can reach the addresses that passed the check, no other.
    pub(crate) async fn client(&self, url: &Url) -> Result<ClientBuilder, SendOutcome> {
        let addresses = self.addresses(url).await?;
        let mut builder = http::builder(self.timeout).pool_max_idle_per_host(0);
        if url.scheme() == "http" {
            // No certificate is looked at, so none needs to be loaded.
            builder = builder.tls_certs_only([]);
        }
        if let Some(domain) = url.domain() {
            builder = builder.resolve_to_addrs(domain, &addresses);
        }
        Ok(builder)
    }

    /// Resolves the host of a URL to the addresses that may be connected to.
    //= docs/threat-model.md#T10
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, SendOutcome> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("the URL is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("the URL holds a user name"));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(invalid("the URL names no host"));
        };
        let found: Vec<SocketAddr> = if let Some(domain) = url.domain() {
            let looked_up = tokio::net::lookup_host((domain, port));
            let found = tokio::time::timeout(self.timeout, looked_up).await;
            let retry = |error: String| SendOutcome::Retry { after: None, error };
            let found =
                found.map_err(|_late| retry("the host was not found in time".to_owned()))?;
            found.map_err(|error| retry(http::innermost(&error)))?.collect()
        } else {
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
            let address = address.ok_or_else(|| invalid("the address cannot be read"))?;
            vec![SocketAddr::new(address, port)]
        };
        let mut reason = "the host has no addresses".to_owned();
        let mut addresses = Vec::with_capacity(found.len());
        for address in found {
            if self.allow.contains(&address) {
                addresses.push(address);
            } else if url.scheme() == "http" {
                "plain http is only for addresses that are allowed".clone_into(&mut reason);
            } else if let Some(why) = (self.refuse)(address.ip()) {
                reason = format!("the URL {why}");
            } else {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(SendOutcome::Permanent { error: reason, kind: PermanentKind::Forbidden });
        }
        Ok(addresses)
    }
}

pub(crate) fn invalid(error: &str) -> SendOutcome {
    SendOutcome::Permanent { error: error.to_owned(), kind: PermanentKind::Invalid }
}

/// Says why nothing could be fetched, in the words of a request that was refused.
pub(crate) fn failed(outcome: SendOutcome) -> FetchError {
    match outcome {
        SendOutcome::Permanent { error, kind: PermanentKind::Forbidden } => {
            FetchError::Refused(error)
        }
        SendOutcome::Permanent { error, .. }
        | SendOutcome::Retry { error, .. }
        | SendOutcome::Unknown { error } => FetchError::Failed(error),
        SendOutcome::Sent { .. } => FetchError::Failed("there is nothing to fetch".to_owned()),
    }
}

/// Fetches all of a file, or nothing: whatever size it is said to have, no more than `limit` bytes are read.
pub(crate) async fn download(request: RequestBuilder, limit: usize) -> Result<Vec<u8>, FetchError> {
    let broken = |error: reqwest::Error| FetchError::Failed(http::innermost(&error));
    let mut response = request.send().await.map_err(broken)?;
    if !response.status().is_success() {
        return Err(FetchError::Failed(format!("status {}", response.status().as_u16())));
    }
    let too_large = FetchError::TooLarge { limit };
    let said = response.content_length().unwrap_or_default();
    if usize::try_from(said).map_or(true, |said| said > limit) {
        return Err(too_large);
    }
    let mut content = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if chunk.len() > limit.saturating_sub(content.len()) {
            return Err(too_large);
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Fetches from a server that says this, and then the piece again and again.
    async fn fetched(head: &'static str, piece: &'static [u8]) -> Result<Vec<u8>, FetchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let server = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let _read = stream.read(&mut buffer).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            while !piece.is_empty() && stream.write_all(piece).await.is_ok() {}
        };
        let client = http::builder(Duration::from_secs(5)).tls_certs_only([]).build().unwrap();
        let fetch = async { download(client.get(url), 10_000).await };
        tokio::join!(fetch, server).0
    }

    #[tokio::test]
    //= docs/threat-model.md#T26
    async fn no_more_is_read_than_may_be_taken() {
        let too_large = Err(FetchError::TooLarge { limit: 10_000 });
        let endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(fetched(endless, b"4\r\nabcd\r\n").await, too_large);
        assert_eq!(fetched("HTTP/1.1 200 OK\r\n\r\n", b"abcd").await, too_large);
        let said = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
        assert_eq!(fetched(said, b"").await, too_large);
        let whole = fetched("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", b"").await;
        assert_eq!(whole, Ok(b"abcd".to_vec()));
        // Half of it is nothing.
        let cut = fetched("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd", b"").await;
        assert!(matches!(cut, Err(FetchError::Failed(_))), "{cut:?}");
        let elsewhere = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n";
        assert_eq!(fetched(elsewhere, b"").await, Err(FetchError::Failed("status 302".to_owned())));
    }
}
