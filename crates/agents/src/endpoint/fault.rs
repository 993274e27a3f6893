//! What a provider's refusal means: HTTP status and error words to a typed failure.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::model::{Detail, ModelError};

/// Reads a refusal that came instead of an answer.
pub(super) fn from_response(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    key: &str,
) -> ModelError {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let (kind, message) = words(&value);
    let text = if message.is_empty() { String::from_utf8_lossy(body) } else { message.into() };
    let text = format!("HTTP {}: {text}", status.as_u16());
    fault(Some(status.as_u16()), &kind, &Detail::redacted(&text, key), retry_after(headers))
}

/// Returns the type and code, and the message, of an error object in any dialect.
pub(crate) fn words(value: &Value) -> (String, &str) {
    let error = value.get("error").unwrap_or(value);
    let text = |name| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let message = error.as_str().unwrap_or_else(|| text("message"));
    (format!("{} {}", text("type"), text("code")), message)
}

/// Decides which failure a refusal is. Pure: a table over status, error type and words.
pub(crate) fn fault(
    status: Option<u16>,
    kind: &str,
    detail: &Detail,
    retry_after: Option<Duration>,
) -> ModelError {
    let detail = detail.clone();
    let kind = kind.to_ascii_lowercase();
    let text = detail.as_str().to_ascii_lowercase();
    let is_kind = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if status == Some(402)
        || is_kind(&["insufficient_quota", "billing"])
        || says(&["credit balance is too low", "insufficient_quota"])
    {
        return ModelError::Billing { detail };
    }
    if matches!(status, Some(401 | 403))
        || is_kind(&["authentication_error", "permission_error", "invalid_api_key"])
    {
        return ModelError::Auth { detail };
    }
    if status == Some(429) || is_kind(&["rate_limit"]) {
        return ModelError::RateLimited { detail, retry_after };
    }
    if status == Some(413)
        || is_kind(&["context_length", "exceed_context", "request_too_large"])
        || says(CONTEXT_WORDS)
    {
        return ModelError::ContextOverflow { detail };
    }
    if status == Some(404) || is_kind(&["not_found"]) {
        return ModelError::ModelNotFound { detail };
    }
    if matches!(status, Some(408 | 504)) || is_kind(&["timeout"]) {
        return ModelError::Timeout { detail };
    }
    if status.is_some_and(|status| status >= 500)
        || is_kind(&["overloaded", "api_error", "server_error", "unavailable"])
    {
        return ModelError::Overloaded { detail, retry_after };
    }
    if status.is_some_and(|status| (300..400).contains(&status)) {
        return ModelError::Protocol { detail };
    }
    ModelError::InvalidRequest { detail }
}

/// How providers say that a conversation is too long.
const CONTEXT_WORDS: &[&str] = &[
    "available context size",
    "context length",
    "context window",
    "context_length_exceeded",
    "exceeds the context",
    "maximum context",
    "prompt is too long",
    "too many input tokens",
];

/// Reads `Retry-After`: seconds, or a date measured against the answer's own `Date`.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let then = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?.trim()).ok()?;
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_understood() {
        #[rustfmt::skip]
        let table = [
            (401, r#"{"error":{"message":"Incorrect API key","code":"invalid_api_key"}}"#, "auth"),
            (403, "forbidden",                                                             "auth"),
            (402, "",                                                                      "billing"),
            (429, r#"{"error":{"message":"quota","type":"insufficient_quota"}}"#,          "billing"),
            (400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#, "billing"),
            (429, r#"{"error":{"type":"rate_limit_error","message":"slow down"}}"#,        "rate-limited"),
            (429, "<html>",                                                                "rate-limited"),
            (400, r#"{"error":{"message":"This model's maximum context length is 8192 tokens","code":"context_length_exceeded"}}"#, "context-overflow"),
            (400, r#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#, "context-overflow"),
            (400, r#"{"error":{"code":400,"type":"exceed_context_size_error","message":"the request exceeds the available context size"}}"#, "context-overflow"),
            (413, r#"{"error":{"type":"request_too_large"}}"#,                             "context-overflow"),
            (400, r#"{"error":{"message":"bad schema"}}"#,                                 "invalid-request"),
            (422, "x",                                                                     "invalid-request"),
            (404, r#"{"error":"model 'x' not found"}"#,                                    "model-not-found"),
            (408, "",                                                                      "timeout"),
            (504, "",                                                                      "timeout"),
            (500, r#"{"error":{"type":"api_error"}}"#,                                     "overloaded"),
            (503, "",                                                                      "overloaded"),
            (529, r#"{"error":{"type":"overloaded_error","message":"Overloaded"}}"#,       "overloaded"),
            (302, "",                                                                      "protocol"),
        ];
        for (status, body, expected) in table {
            let status = StatusCode::from_u16(status).unwrap();
            let error = from_response(status, &HeaderMap::new(), body.as_bytes(), "");
            assert_eq!(error.name(), expected, "{status} {body}");
            assert!(error.to_string().contains(status.as_str()), "{error}");
        }
    }

    #[test]
    fn the_key_is_not_repeated() {
        let body = br#"{"error":{"message":"Incorrect API key provided: sk-123"}}"#;
        let error = from_response(StatusCode::UNAUTHORIZED, &HeaderMap::new(), body, "sk-123");
        assert!(!error.to_string().contains("sk-123"), "{error}");
    }

    #[test]
    fn retry_after_is_read() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        #[rustfmt::skip]
        let table = [
            ("7",                             "",   Some(7_000)),
            ("0.5",                           "",   Some(500)),
            ("-1",                            "",   None),
            ("soon",                          "",   None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", date, Some(30_000)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", date, Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", "",   None),
        ];
        for (text, date, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            if !date.is_empty() {
                headers.insert(DATE, date.parse().unwrap());
            }
            assert_eq!(retry_after(&headers), expected.map(Duration::from_millis), "{text}");
        }
    }
}
