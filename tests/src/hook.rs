//! Programs that post to hooks: plain HTTP, byte by byte where that matters.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::soon;

/// What a request was answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The line and the headers.
    pub head: String,
    /// The body.
    pub body: Value,
}

impl Answered {
    /// Returns a text of the body, empty when there is none.
    pub fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Sends bytes, and reads what comes until the connection is closed.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> Answered {
    soon(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Whoever is refused early may have hung up before all was sent.
        drop(stream.write_all(request).await);
        let mut bytes = Vec::new();
        drop(stream.read_to_end(&mut bytes).await);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        Answered { status, head: head.to_owned(), body }
    })
    .await
}

/// Asks for a path with these headers and this body.
pub async fn post(
    address: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answered {
    let mut request = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    write!(request, "content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    exchange(address, request.as_bytes()).await
}
