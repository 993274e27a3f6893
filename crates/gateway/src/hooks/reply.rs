//! What a post is answered.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::json;

/// An answer to a request over HTTP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Reply {
    status: StatusCode,
    body: serde_json::Value,
    allow: Option<&'static str>,
    retry: Option<Duration>,
}

impl Reply {
    /// It was done, and this is what there is of it.
    pub(super) const fn done(body: serde_json::Value) -> Self {
        Self { status: StatusCode::OK, body, allow: None, retry: None }
    }

    /// It was not done: why, and what to do next.
    pub(super) fn refused(status: StatusCode, message: &str, next: &str) -> Self {
        let code = status.canonical_reason().unwrap_or("Error").to_uppercase().replace(' ', "_");
        let body = json!({ "error": { "code": code, "message": message, "next": next } });
        Self { status, body, allow: None, retry: None }
    }

    /// Unknown hooks and wrong credentials have one answer.
    //= docs/threat-model.md#T30
    pub(super) fn stranger() -> Self {
        let next = "check the hook's name, and its token or key";
        Self::refused(StatusCode::UNAUTHORIZED, "there is no such hook for this credential", next)
    }

    /// The gateway cannot do it now.
    pub(super) fn unavailable(message: &str) -> Self {
        let refused =
            Self::refused(StatusCode::SERVICE_UNAVAILABLE, message, "send it again later");
        refused.retry(Duration::from_secs(10))
    }

    /// The hook cannot be used as it is configured.
    pub(super) fn not_ready() -> Self {
        Self::unavailable("the hook is not ready; the gateway's log says why")
    }

    pub(super) fn allow(self, methods: &'static str) -> Self {
        Self { allow: Some(methods), ..self }
    }

    pub(super) fn retry(self, after: Duration) -> Self {
        Self { retry: Some(after), ..self }
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.to_string().into()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(after) = self.retry {
            let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status != StatusCode::OK {
            // What is left of a body that was not read is not read as another request.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
