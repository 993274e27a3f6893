//! As much HTTP as a model provider needs: one request a connection, everything bounded.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::behavior::{Answer, Behavior, Then};
use super::{Received, Shared};

/// Bytes of a request's head at most.
const MAX_HEAD: usize = 64 * 1024;
/// Bytes of a request's body at most.
const MAX_BODY: usize = 16 << 20;
/// Bytes that a flood sends at most, should nobody stop it.
const MAX_FLOOD: usize = 1 << 30;

/// Answers whoever connects, until it is dropped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // Whoever hangs up early has what it wanted.
            drop(answer(stream, &shared).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Tells when a request is over, however it ends.
struct InWork<'a>(&'a Shared);

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}

async fn answer(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let Some(received) = receive(&mut stream).await? else { return Ok(()) };
    let behavior = shared.next_behavior();
    shared.began(received);
    let _in_work = InWork(shared);
    let (mut from, mut to) = stream.split();
    // The client sends nothing more: reading returns when it hangs up.
    tokio::select! {
        sent = send(&mut to, shared, &behavior) => sent,
        _gone = from.read_u8() => Ok(()),
    }
}

async fn receive(stream: &mut TcpStream) -> io::Result<Option<Received>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(position) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break position + 4;
        }
        if bytes.len() > MAX_HEAD || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let body = bytes.split_off(head_end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.unwrap_or(0).min(MAX_BODY);
    let mut body = body;
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some(Received { path, head, body }))
}

async fn send(
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    shared: &Shared,
    behavior: &Behavior,
) -> io::Result<()> {
    if matches!(behavior, Behavior::Held(_)) {
        shared.permits.acquire().await.expect("it is never closed").forget();
    }
    let Some(answer) = Answer::of(shared.api, behavior) else {
        return std::future::pending().await;
    };
    let framing = "transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    to.write_all(format!("{}{framing}", answer.head).as_bytes()).await?;
    for piece in &answer.body {
        chunk(to, piece).await?;
    }
    match answer.then {
        Then::End => to.write_all(b"0\r\n\r\n").await,
        Then::Break => Ok(()),
        Then::Silence => std::future::pending().await,
        Then::Repeat => {
            let piece = answer.body.last().expect("a flood has something to say");
            let mut sent = 0;
            while sent < MAX_FLOOD {
                chunk(to, piece).await?;
                sent += piece.len();
            }
            Ok(())
        }
    }
}

/// Sends one piece, and sees that it leaves.
async fn chunk(to: &mut (impl tokio::io::AsyncWrite + Unpin), piece: &str) -> io::Result<()> {
    to.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await?;
    to.flush().await
}
