//! The script of the offline model: a TOML file of replies, read strictly.

use std::sync::Arc;
use std::time::Duration;

use openclaw_sessions::Message;
use serde::Deserialize;

use crate::model::{Detail, ModelError};

/// The script of an offline model, checked. Unknown keys are refused.
///
/// ```
/// let script = openclaw_agents::OfflineScript::parse(
///     r#"
/// [[reply]]                       # the first reply that fits is given; without any, the echo
/// match = "weather"               # a part of the last user message; absent: any message
/// text = "Let me look."           # `{message}` and `{result}` stand for what was said and found
/// toolCalls = [{ name = "web_fetch", arguments = { url = "https://example.com/" } }]
///
/// [[reply]]
/// afterTool = "web_fetch"         # fits right after a result of this tool (`*`: of any tool)
/// text = "It says: {result}"
/// chunks = 4                      # stream the text in so many pieces
/// delayMs = 20                    # wait before each piece, or before the failure
///
/// [[reply]]
/// match = "fail twice"
/// failure = "rate-limited"        # after the text, if there is one
/// retryAfterMs = 50
/// times = 2                       # fits so many attempts of one request
///
/// [[reply]]
/// text = "Welcome."
/// times = 1                       # without a failure: fits so many times in one conversation
/// "#,
/// );
/// assert!(script.is_ok());
/// ```
///
/// A reply without `afterTool` fits only when the user spoke last. How often a reply was already
/// given is found by playing the script over the history, not by counting in memory.
#[derive(Clone, Debug, Default)]
pub struct OfflineScript {
    replies: Vec<Reply>,
    counts_uses: bool,
}

/// One reply of a script.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    after_tool: Option<String>,
    pattern: Option<String>,
    times: Option<u32>,
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
    pub(super) chunks: usize,
    pub(super) delay: Duration,
    pub(super) failure: Option<ModelError>,
}

/// One tool call of a reply.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: String,
}

impl OfflineScript {
    /// Reads a script.
    ///
    /// # Errors
    /// When the text is not TOML, has an unknown key, or a reply contradicts itself.
    pub fn parse(text: &str) -> Result<Self, ParseScriptError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let (line, column) = place(text, error.span().map_or(0, |span| span.start));
            ParseScriptError { column, line, problem: error.message().to_owned() }
        })?;
        let mut replies = Vec::with_capacity(file.reply.len());
        for row in file.reply {
            let (line, column) = place(text, row.span().start);
            let reply = Reply::check(row.into_inner());
            let refuse = |problem| ParseScriptError { line, column, problem };
            replies.push(reply.map_err(refuse)?);
        }
        let counts_uses =
            replies.iter().any(|reply| reply.times.is_some() && reply.failure.is_none());
        Ok(Self { replies, counts_uses })
    }

    /// Returns the reply for this conversation, and its place in the script.
    pub(super) fn choose(
        &self,
        messages: &[Arc<Message>],
        attempt: u32,
    ) -> Option<(usize, &Reply)> {
        if self.replies.is_empty() {
            return None;
        }
        let mut used = vec![0_u32; if self.counts_uses { self.replies.len() } else { 0 }];
        let mut moment = Moment::default();
        for message in messages {
            if self.counts_uses && matches!(**message, Message::Assistant { .. }) {
                let given = self.fitting(&moment, &used, u32::MAX);
                if let Some(count) = given.and_then(|(position, _)| used.get_mut(position)) {
                    *count = count.saturating_add(1);
                }
            }
            moment.advance(message);
        }
        self.fitting(&moment, &used, attempt)
    }

    fn fitting(&self, now: &Moment<'_>, used: &[u32], attempt: u32) -> Option<(usize, &Reply)> {
        self.replies.iter().enumerate().find(|(position, reply)| {
            let count = if reply.failure.is_some() {
                attempt
            } else {
                used.get(*position).copied().unwrap_or(0)
            };
            reply.times.is_none_or(|times| count < times) && reply.fits(now)
        })
    }
}

/// Where a conversation stands.
#[derive(Default)]
struct Moment<'a> {
    message: &'a str,
    tool: Option<&'a str>,
}

impl<'a> Moment<'a> {
    fn advance(&mut self, message: &'a Message) {
        match message {
            Message::Assistant { .. } => {}
            Message::Tool { results } => {
                self.tool = results.last().map(|result| result.name.as_str());
            }
            Message::User { text } => {
                self.message = text;
                self.tool = None;
            }
        }
    }
}

impl Reply {
    fn fits(&self, now: &Moment<'_>) -> bool {
        let fits_tool = match (self.after_tool.as_deref(), now.tool) {
            (None, None) => true,
            (Some(wanted), Some(tool)) => wanted == "*" || wanted == tool,
            (None, Some(_)) | (Some(_), None) => false,
        };
        fits_tool && self.pattern.as_ref().is_none_or(|pattern| now.message.contains(pattern))
    }

    fn check(row: Row) -> Result<Self, String> {
        if row.failure.is_none() && row.retry_after_ms.is_some() {
            return Err("`retryAfterMs` needs a `failure`".to_owned());
        }
        if row.failure.is_some() && !row.tool_calls.is_empty() {
            return Err("a reply with a `failure` cannot have `toolCalls`".to_owned());
        }
        if row.failure.is_none() && row.text.is_empty() && row.tool_calls.is_empty() {
            return Err("a reply needs `text`, `toolCalls` or a `failure`".to_owned());
        }
        let retry_after = row.retry_after_ms.map(Duration::from_millis);
        let failure = row.failure.map(|kind| kind.into_error(retry_after));
        let calls = row.tool_calls.into_iter().map(|call| Call {
            arguments: serde_json::Value::Object(call.arguments).to_string(),
            name: call.name,
        });
        Ok(Self {
            after_tool: row.after_tool,
            calls: calls.collect(),
            chunks: row.chunks.unwrap_or(1),
            delay: Duration::from_millis(row.delay_ms),
            failure,
            pattern: row.pattern,
            text: row.text,
            times: row.times,
        })
    }
}

/// Why a script cannot be played.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the offline script is wrong at line {line}, column {column}: {problem}")]
pub struct ParseScriptError {
    /// The line, from one.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
    /// What is wrong there.
    pub problem: String,
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
    (line, column)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    reply: Vec<toml::Spanned<Row>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    after_tool: Option<String>,
    chunks: Option<usize>,
    #[serde(default)]
    delay_ms: u64,
    failure: Option<Kind>,
    #[serde(rename = "match")]
    pattern: Option<String>,
    retry_after_ms: Option<u64>,
    #[serde(default)]
    text: String,
    times: Option<u32>,
    #[serde(default)]
    tool_calls: Vec<CallRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallRow {
    name: String,
    #[serde(default)]
    arguments: serde_json::Map<String, serde_json::Value>,
}

/// The failures, by the names of [`ModelError::name`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Auth,
    Billing,
    ContextOverflow,
    InvalidRequest,
    ModelNotFound,
    Network,
    Overloaded,
    Protocol,
    RateLimited,
    Timeout,
}

impl Kind {
    fn into_error(self, retry_after: Option<Duration>) -> ModelError {
        let detail = Detail::new("as the offline script says");
        match self {
            Self::Auth => ModelError::Auth { detail },
            Self::Billing => ModelError::Billing { detail },
            Self::ContextOverflow => ModelError::ContextOverflow { detail },
            Self::InvalidRequest => ModelError::InvalidRequest { detail },
            Self::ModelNotFound => ModelError::ModelNotFound { detail },
            Self::Network => ModelError::Network { detail },
            Self::Overloaded => ModelError::Overloaded { detail, retry_after },
            Self::Protocol => ModelError::Protocol { detail },
            Self::RateLimited => ModelError::RateLimited { detail, retry_after },
            Self::Timeout => ModelError::Timeout { detail },
        }
    }
}
