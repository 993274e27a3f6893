//! How Telegram answers a call.

use serde_json::{Value, json};

use crate::Answer;
use crate::server::Reply;

/// Puts a result into words, or what is to be said instead.
pub(super) fn reply(answer: Answer, result: &Value) -> Reply {
    let json = |body: Vec<u8>| Reply::Say {
        body,
        headers: vec![("content-type", "application/json".to_owned())],
        status: 200,
    };
    match answer {
        Answer::AcceptThenClose => Reply::Close,
        Answer::Big(bytes) => json(vec![b' '; bytes]),
        Answer::HangAfterAccept => Reply::Hang,
        Answer::Malformed => json(b"{\"ok\": tr".to_vec()),
        Answer::Normal => Reply::json(200, &json!({ "ok": true, "result": result })),
        Answer::RateLimited { after } => {
            let seconds = after.as_secs();
            Reply::json(
                429,
                &json!({
                    "description": format!("Too Many Requests: retry after {seconds}"),
                    "error_code": 429, "ok": false, "parameters": { "retry_after": seconds },
                }),
            )
        }
        Answer::Redirect { to } => {
            Reply::Say { body: Vec::new(), headers: vec![("location", to)], status: 302 }
        }
        Answer::Refused { status, text } => refusal(status, &text),
        Answer::Status(status) => refusal(
            status,
            match status {
                400 => "Bad Request: chat not found",
                401 => "Unauthorized",
                403 => "Forbidden: bot was blocked by the user",
                409 => {
                    "Conflict: terminated by other getUpdates request; make sure that only one \
                     bot instance is running"
                }
                500 => "Internal Server Error",
                502 => "Bad Gateway",
                _ => "something else",
            },
        ),
    }
}

/// Says no.
pub(super) fn refusal(status: u16, text: &str) -> Reply {
    Reply::json(status, &json!({ "description": text, "error_code": status, "ok": false }))
}
