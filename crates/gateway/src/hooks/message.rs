//! What an agent is told of a post.

use hyper::header::HeaderMap;
use openclaw_config::Template;
use serde_json::Value;

/// Headers that hold credentials: templates do not see them.
const HIDDEN: [&str; 7] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "webhook-signature",
    "x-hub-signature",
    "x-hub-signature-256",
    "x-openclaw-token",
];

/// Why nothing can be said of a post.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum MessageError {
    /// It says that it is JSON and is not, or it is no text.
    #[error("the body is not {0}")]
    Body(&'static str),
    /// Nothing is left to be said.
    #[error("the post says nothing")]
    Empty,
    /// The template refuses it.
    #[error("the hook's template cannot be filled in")]
    Template(String),
}

/// Returns what an agent is told, of so many bytes at most.
pub(super) fn message(
    hook: &str,
    template: Option<&Template>,
    headers: &HeaderMap,
    body: &[u8],
    max: usize,
) -> Result<String, MessageError> {
    let payload = payload(headers, body)?;
    let text = match template {
        Some(template) => template
            .render(hook, &payload, &shown(headers))
            .map_err(|error| MessageError::Template(error.to_string()))?,
        None => plain(payload),
    };
    // A line that names a stored file is the gateway's alone.
    let text = openclaw_sessions::said(text.trim());
    if text.is_empty() {
        return Err(MessageError::Empty);
    }
    if text.len() <= max {
        return Ok(text);
    }
    let kept = text.get(..text.floor_char_boundary(max)).unwrap_or_default();
    Ok(format!("{kept}\n[The rest is left out: {} bytes in all.]", text.len()))
}

/// Reads a body: JSON where it is called so, and text otherwise.
fn payload(headers: &HeaderMap, body: &[u8]) -> Result<Value, MessageError> {
    let text = std::str::from_utf8(body).map_err(|_bad| MessageError::Body("UTF-8"))?;
    let kind = headers.get(hyper::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_json = kind.eq_ignore_ascii_case("application/json")
        || kind.to_ascii_lowercase().ends_with("+json");
    if !is_json {
        return Ok(Value::String(text.to_owned()));
    }
    serde_json::from_str(text).map_err(|_bad| MessageError::Body("JSON, as its type says"))
}

/// What is said without a template: the words of the post, or else all of it.
fn plain(payload: Value) -> String {
    let words = ["message", "text"].iter().find_map(|name| payload.get(name)?.as_str());
    if let Some(words) = words {
        return words.to_owned();
    }
    match payload {
        Value::String(text) => text,
        Value::Null => String::new(),
        payload => format!("{payload:#}"),
    }
}

/// Returns the headers that templates see.
fn shown(headers: &HeaderMap) -> Value {
    let visible = headers.iter().filter(|(name, _)| !HIDDEN.contains(&name.as_str()));
    let text = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        Some((name.as_str().to_owned(), Value::from(value.to_str().ok()?)))
    };
    Value::Object(visible.filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};

    use super::*;

    fn said(
        kind: &'static str,
        body: &str,
        template: Option<&str>,
    ) -> Result<String, MessageError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
        headers.insert("x-github-event", HeaderValue::from_static("push"));
        let template = template.map(|text| Template::parse(text).unwrap());
        message("ci", template.as_ref(), &headers, body.as_bytes(), 64)
    }

    #[test]
    fn what_is_said_of_a_post() {
        let json = "application/json; charset=utf-8";
        assert_eq!(said(json, r#"{"message":"Hello."}"#, None).unwrap(), "Hello.");
        assert_eq!(said(json, r#"{"text":"Hello.","a":1}"#, None).unwrap(), "Hello.");
        assert_eq!(said(json, r#"{"a":1}"#, None).unwrap(), "{\n  \"a\": 1\n}");
        assert_eq!(said("text/plain", " Disk full. ", None).unwrap(), "Disk full.");
        assert_eq!(said("text/plain", "{", None).unwrap(), "{");
        let template = "{{ hook }}: {{ headers['x-github-event'] }} by {{ payload.who }}{{ headers.authorization }}";
        assert_eq!(said(json, r#"{"who":"ada"}"#, Some(template)).unwrap(), "ci: push by ada");
    }

    #[test]
    fn what_cannot_be_said() {
        assert_eq!(
            said("application/json", "{", None).unwrap_err().to_string(),
            "the body is not JSON, as its type says"
        );
        assert_eq!(
            said("application/ld+json", "", None).unwrap_err(),
            MessageError::Body("JSON, as its type says")
        );
        assert_eq!(said("text/plain", "  ", None), Err(MessageError::Empty));
        assert_eq!(said("application/json", "null", None), Err(MessageError::Empty));
        assert_eq!(
            said("application/json", "{}", Some("{{ payload.no }}")),
            Err(MessageError::Empty)
        );
        let deep = "[".repeat(100_000);
        assert!(said("application/json", &deep, None).is_err());
        assert!(message("ci", None, &HeaderMap::new(), &[0xff], 64).is_err());
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let said = said("text/plain", &"ä".repeat(40), None).unwrap();
        assert_eq!(said, format!("{}\n[The rest is left out: 80 bytes in all.]", "ä".repeat(32)));
    }
}
