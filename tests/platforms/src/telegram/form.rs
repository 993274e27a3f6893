//! The fields of a call to Telegram, in whichever of its two ways they come.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::desk::Received;

/// Returns the fields of a call; what is no text is JSON.
pub(super) fn fields(request: &Received) -> BTreeMap<String, String> {
    let kind = request.headers.get("content-type").map(String::as_str).unwrap_or_default();
    if let Some(boundary) = kind.strip_prefix("multipart/form-data; boundary=") {
        return multipart(&String::from_utf8_lossy(&request.body), boundary);
    }
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    match request.json() {
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, text(value))).collect()
        }
        _ => BTreeMap::new(),
    }
}

fn multipart(body: &str, boundary: &str) -> BTreeMap<String, String> {
    let field = |part: &str| {
        let (head, value) = part.split_once("\r\n\r\n")?;
        let (_, name) = head.split_once("name=\"")?;
        let (name, _) = name.split_once('"')?;
        Some((name.to_owned(), value.trim_end_matches("\r\n").to_owned()))
    };
    body.split(&format!("--{boundary}")).filter_map(field).collect()
}
