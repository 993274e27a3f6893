//! Tests over real HTTP: endpoints that answer in pieces, hang, break, flood or are no model at all.

use std::time::Duration;

use openclaw_config::Secret;
use openclaw_sessions::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::model::{Model, ModelRequest};
use crate::{AnthropicModel, OpenAiModel};

/// What a fake endpoint does, after it has read the request.
#[derive(Clone, Debug)]
enum Act {
    /// Sends bytes as they are.
    Send(Vec<u8>),
    /// Sends the text as HTTP chunks of so many bytes.
    Chunks(String, usize),
    /// Ends the chunked body well.
    End,
    /// Sends the same over and over, until nobody reads any more.
    Flood(Vec<u8>),
    /// Sends a comment every so often, for ever.
    Drip(Duration),
    /// Does nothing more, but keeps the connection.
    Hang,
}

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

const OPENAI: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hällo \"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"🦞\"},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
);

const ANTHROPIC: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n",
    "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"Hällo \"}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"🦞\"}}\n\n",
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
    "data: {\"type\":\"message_stop\"}\n\n",
);

fn send(text: &str) -> Act {
    Act::Send(text.as_bytes().to_vec())
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = socket.read(&mut buffer).await.unwrap();
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() >= length {
                return text;
            }
        }
        assert_ne!(count, 0, "the request ended early");
    }
}

async fn play(socket: &mut TcpStream, acts: Vec<Act>) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    for act in acts {
        match act {
            Act::Chunks(text, size) => {
                for piece in text.as_bytes().chunks(size) {
                    socket.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                    socket.write_all(piece).await?;
                    socket.write_all(b"\r\n").await?;
                    tokio::task::yield_now().await;
                }
            }
            Act::Drip(pause) => loop {
                socket.write_all(b"3\r\n: \n\r\n").await?;
                tokio::time::sleep(pause).await;
            },
            Act::End => socket.write_all(b"0\r\n\r\n").await?,
            Act::Flood(bytes) => loop {
                let head = format!("{:x}\r\n", bytes.len());
                socket.write_all(head.as_bytes()).await?;
                socket.write_all(&bytes).await?;
                socket.write_all(b"\r\n").await?;
            },
            Act::Hang => std::future::pending().await,
            Act::Send(bytes) => socket.write_all(&bytes).await?,
        }
    }
    socket.shutdown().await
}

fn request() -> ModelRequest {
    ModelRequest {
        pictures: crate::Pictures::default(),
        attempt: 0,
        max_output_tokens: None,
        messages: vec![Arc::new(Message::User { text: "hi".into() })],
        system: "s".into(),
        tools: [].into(),
    }
}

fn openai(endpoint: Endpoint) -> Box<dyn Model> {
    Box::new(OpenAiModel::new(Arc::new(endpoint), "p", "m"))
}

fn anthropic(endpoint: Endpoint) -> Box<dyn Model> {
    Box::new(AnthropicModel::new(Arc::new(endpoint), "p", "m"))
}

struct Heard {
    request: String,
    text: String,
    end: Result<String, ModelError>,
}

/// Asks a model whose endpoint acts like this.
async fn ask(model: fn(Endpoint) -> Box<dyn Model>, idle: Duration, acts: Vec<Act>) -> Heard {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let key = Some(Secret::new("sk-very-secret".into()));
    let drips = acts.iter().any(|act| matches!(act, Act::Drip(_)));
    let total = if drips { Duration::from_millis(500) } else { LONG };
    let model = model(Endpoint::parse(&url, key).unwrap().with_timeouts(idle, total));
    let mut heard =
        Heard { end: Err(ModelError::network("nothing")), request: "".into(), text: "".into() };
    let mut answer = model.respond(request());
    let listen = async {
        while let Some(event) = answer.next().await {
            match event {
                Ok(ModelEvent::Text(piece)) => heard.text.push_str(&piece),
                Ok(ModelEvent::Finished(message)) => heard.end = Ok(message.text),
                Ok(other) => panic!("{other:?}"),
                Err(error) => heard.end = Err(error),
            }
        }
    };
    let mut seen = String::new();
    let serve = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        seen = read_request(&mut socket).await;
        // A client that goes away in the middle is what some of these tests are about.
        drop(play(&mut socket, acts).await);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = listen => {}
        () = serve => {}
    }
    drop(answer);
    heard.request = seen;
    heard
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn answers_are_read_in_pieces_of_any_size() {
    for size in [1, 2, 7, 64, 100_000] {
        let dialects: [(fn(_) -> _, _); 2] = [(openai, OPENAI), (anthropic, ANTHROPIC)];
        for (model, text) in dialects {
            let acts = vec![send(STREAM), Act::Chunks(text.to_owned(), size), Act::End];
            let heard = ask(model, LONG, acts).await;
            assert_eq!(heard.end, Ok("Hällo 🦞".to_owned()), "pieces of {size}");
            assert_eq!(heard.text, "Hällo 🦞");
        }
    }
}

#[tokio::test]
async fn the_answer_is_whole_before_the_connection_ends() {
    let acts = vec![send(STREAM), Act::Chunks(OPENAI.to_owned(), 9), Act::Hang];
    assert_eq!(ask(openai, LONG, acts).await.end, Ok("Hällo 🦞".to_owned()));
}

#[tokio::test]
async fn requests_go_to_the_right_place_with_the_key() {
    let acts = vec![send(STREAM), Act::Chunks(OPENAI.to_owned(), 999), Act::End];
    let sent = ask(openai, LONG, acts).await.request;
    assert!(sent.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("\r\nauthorization: Bearer sk-very-secret\r\n"), "{sent}");
    let acts = vec![send(STREAM), Act::Chunks(ANTHROPIC.to_owned(), 999), Act::End];
    let sent = ask(anthropic, LONG, acts).await.request;
    assert!(sent.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("\r\nx-api-key: sk-very-secret\r\n"), "{sent}");
    assert!(sent.contains("\r\nanthropic-version: 2023-06-01\r\n"), "{sent}");
}

#[tokio::test]
//= docs/threat-model.md#T12
async fn bad_endpoints_are_typed_errors() {
    let html = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>";
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let bare = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let part = Act::Chunks("data: {\"choices\":[{\"delta\":{\"content\":\"Hä\"}}]}\n\n".into(), 5);
    let status = |line: &str, headers: &str, body: &str| {
        send(&format!("HTTP/1.1 {line}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
    };
    #[rustfmt::skip]
    let table = [
        (vec![Act::Hang],                                          "", "timeout",      "beginning"),
        (vec![send(STREAM), part.clone(), Act::Hang],              "Hä", "timeout",    "more of the answer"),
        (vec![send(STREAM), part.clone()],                         "Hä", "network",    ""),
        (vec![send(STREAM), part.clone(), send("7\r\ndat")],       "Hä", "network",    ""),
        (vec![send(STREAM), part, Act::End],                       "Hä", "network",    "final marker"),
        (vec![send(STREAM), Act::End],                             "", "network",      "final marker"),
        (vec![],                                                   "", "network",      ""),
        (vec![send("SSH-2.0-OpenSSH\r\n")],                        "", "network",      ""),
        (vec![send(html)],                                         "", "protocol",     "text/html"),
        (vec![send(json)],                                         "", "protocol",     "application/json"),
        (vec![send(bare)],                                         "", "protocol",     "none"),
        (vec![send(STREAM), Act::Flood(b"data: {\"choices\":[]}\n\n".repeat(1000))],      "", "protocol", "events"),
        (vec![send(STREAM), Act::Flood(vec![b'x'; 65_536])],       "", "protocol",     "1 MiB"),
        (vec![send(STREAM), Act::Flood([vec![b':'; 65_536], vec![b'\n']].concat())],  "", "protocol", "16 MiB"),
        (vec![send(STREAM), Act::Chunks("data: <html>\n\n".into(), 99)], "", "protocol", "malformed"),
        (vec![status("302 Found", "Location: http://127.0.0.1:9/\r\n", "")], "", "protocol", "302"),
        (vec![status("401 Unauthorized", "", "key sk-very-secret is wrong")], "", "auth", "key [redacted] is wrong"),
        (vec![status("404 Not Found", "", "no such model")],       "", "model-not-found", "no such model"),
        (vec![status("429 Slow", "Retry-After: 7\r\n", "")],       "", "rate-limited", "429"),
        (vec![status("529 Busy", "", "")],                         "", "overloaded",   "529"),
        (vec![status("500 Oops", "", &"x".repeat(100_000))],       "", "overloaded",   "xxx"),
        (vec![send("HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nab"), Act::Hang], "", "overloaded", "503"),
        (vec![send("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n"), Act::Drip(SHORT / 10)], "", "overloaded", "503"),
    ];
    for (acts, text, name, words) in table {
        let hangs = acts.iter().any(|act| matches!(act, Act::Hang | Act::Drip(_)));
        let case = format!("{acts:.80?}");
        let heard = ask(openai, if hangs { SHORT } else { LONG }, acts).await;
        let error = heard.end.expect_err(&case);
        assert_eq!((error.name(), heard.text.as_str()), (name, text), "{error} {case:.300}");
        assert!(error.to_string().contains(words), "{error} {case:.300}");
        if name == "rate-limited" {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        }
        assert!(!format!("{error:?}").contains("very-secret"), "{error:?}");
    }
}

#[tokio::test]
//= docs/threat-model.md#T12
async fn a_stream_that_drips_for_ever_ends() {
    let acts = vec![send(STREAM), Act::Drip(Duration::from_millis(20))];
    let error = ask(openai, LONG, acts).await.end.unwrap_err();
    assert_eq!(error.name(), "timeout");
    assert!(error.to_string().contains("end of the answer"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_a_network_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for url in [url.clone(), url.replace("http:", "https:")] {
        let model = openai(Endpoint::parse(&url, None).unwrap());
        let events: Vec<_> = model.respond(request()).collect().await;
        let [Err(error)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(error.name(), "network", "{url}");
        println!("{error}");
    }
}

#[tokio::test]
async fn dropping_the_answer_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let model = openai(Endpoint::parse(&url, None).unwrap());
    let mut answer = model.respond(request());
    let (_, mut socket) = tokio::join!(
        async {
            assert!(answer.next().await.is_some_and(|event| event.is_ok()));
            drop(answer);
        },
        async {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_request(&mut socket).await;
            let text = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
            let begin = format!("{STREAM}{:x}\r\n{text}\r\n", text.len());
            socket.write_all(begin.as_bytes()).await.unwrap();
            socket
        }
    );
    let read = tokio::time::timeout(LONG, socket.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}
