//! The tool with which a conversation adds, lists and removes jobs of its own.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use openclaw_scopes::Capability;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::spec;
use crate::tool::{Arguments, Tool, ToolError, ToolSpec};

/// Bytes of what a job says at most.
const MAX_TEXT: usize = 32 * 1024;

/// What jobs need from the world: a port, which the gateway implements for one run.
///
/// Each answer is for the model: a JSON document that says what came of it.
pub trait Jobs: Send + Sync + fmt::Debug {
    /// Adds a job.
    fn add(&self, order: JobOrder) -> BoxFuture<'_, Value>;
    /// Lists the jobs that were added in the run's conversation.
    fn list(&self) -> BoxFuture<'_, Value>;
    /// Removes one of them.
    fn remove(&self, job: String) -> BoxFuture<'_, Value>;
}

/// A job, as a model gave it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JobOrder {
    /// What people call it.
    pub name: Option<String>,
    /// When it is due.
    pub when: JobWhen,
    /// The IANA zone of a cron expression and of a time of day; the machine's if absent.
    pub zone: Option<String>,
    /// What is said when it is due.
    pub message: String,
    /// Whether it is said in a new conversation each time, and not in this one.
    pub place: JobSession,
}

/// When a job is due, as a model wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JobWhen {
    /// Once.
    At(String),
    /// By an expression.
    Cron(String),
    /// Again and again, after so long.
    Every(String),
}

impl Default for JobWhen {
    fn default() -> Self {
        Self::At(String::new())
    }
}

/// In which conversation a job works.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum JobSession {
    /// In the one that adds it.
    #[default]
    Current,
    /// In a new one each time.
    Isolated,
}

/// The tool, for one run.
#[derive(Clone, Debug)]
pub struct CronTool {
    port: Option<Arc<dyn Jobs>>,
    spec: Arc<ToolSpec>,
}

impl Default for CronTool {
    /// The tool for no run in particular: what a model is told of it does not depend on it.
    fn default() -> Self {
        Self { port: None, spec: Arc::new(describe()) }
    }
}

impl CronTool {
    /// The same tool for one run.
    #[must_use]
    pub fn for_run(&self, port: Arc<dyn Jobs>) -> Self {
        Self { port: Some(port), spec: Arc::clone(&self.spec) }
    }

    async fn run(&self, arguments: Value) -> Result<String, ToolError> {
        let mut arguments = Arguments::new(arguments)?;
        let Some(port) = &self.port else {
            return Err(ToolError::NoSuchTool { tool: self.spec.name.clone() });
        };
        let action = arguments.text("action")?;
        let answer = match action.as_str() {
            "add" => match order(arguments)? {
                Ok(order) => port.add(order).await,
                Err(refusal) => refusal,
            },
            "list" => {
                arguments.finish()?;
                port.list().await
            }
            "remove" => {
                let job = arguments.text("job")?;
                arguments.finish()?;
                port.remove(job).await
            }
            _ => return Err(ToolError::argument("action", "is `add`, `list` or `remove`")),
        };
        Ok(answer.to_string())
    }
}

impl Tool for CronTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn capability(&self) -> Capability {
        Capability::CronOwn
    }

    fn call<'a>(
        &'a self,
        arguments: Value,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<String, ToolError>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                answer = self.run(arguments) => answer,
                () = cancel.cancelled() => Err(ToolError::Canceled),
            }
        })
    }
}

fn error(text: impl Into<String>) -> Value {
    json!({ "status": "error", "error": text.into() })
}

/// Reads a job. What is well-formed and not offered here is answered, and not misread.
fn order(mut arguments: Arguments) -> Result<Result<JobOrder, Value>, ToolError> {
    let name = arguments.optional_text("name")?;
    let at = arguments.optional_text("at")?;
    let every = arguments.optional_text("every")?;
    let cron = arguments.optional_text("cron")?;
    let zone = arguments.optional_text("tz")?;
    let message = arguments.text("message")?;
    let session = arguments.optional_text("session")?;
    arguments.finish()?;
    let when = match (at, every, cron) {
        (Some(at), None, None) => JobWhen::At(at),
        (None, Some(every), None) => JobWhen::Every(every),
        (None, None, Some(cron)) => JobWhen::Cron(cron),
        _ => return Ok(Err(error("give one of `at`, `every` and `cron`"))),
    };
    if message.trim().is_empty() {
        return Ok(Err(error("the message is empty")));
    }
    if message.len() > MAX_TEXT {
        return Ok(Err(error(format!("the message has more than {MAX_TEXT} bytes"))));
    }
    let place = match session.as_deref() {
        None | Some("current") => JobSession::Current,
        Some("isolated") => JobSession::Isolated,
        Some(_) => return Ok(Err(error("session is `current` or `isolated`"))),
    };
    Ok(Ok(JobOrder { name, when, zone, message, place }))
}

fn describe() -> ToolSpec {
    spec(
        "cron",
        "Adds a job that says something to you at a later time, lists the jobs of this conversation, or \
         removes one. When it is due you have a turn with its message, and your answer goes where answers \
         of this conversation go. A reminder is `add` with `at` and what to remind of.",
        &["action"],
        &json!({
            "action": { "type": "string", "enum": ["add", "list", "remove"] },
            "name": { "type": "string", "description": "a short name" },
            "at": { "type": "string", "description": "once: `20m` from now, `09:00` for the next nine o'clock, `2026-12-01 09:00`, or RFC 3339" },
            "every": { "type": "string", "description": "again and again: `30m`, `1d`" },
            "cron": { "type": "string", "description": "a cron expression: `0 9 * * 1-5`" },
            "tz": { "type": "string", "description": "IANA time zone; the machine's if absent" },
            "message": { "type": "string", "description": "of `add`: what is said to you then" },
            "session": { "type": "string", "enum": ["current", "isolated"] },
            "job": { "type": "string", "description": "of `remove`: the job's id" },
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: Value) -> Result<Result<JobOrder, Value>, ToolError> {
        order(Arguments::new(arguments).unwrap())
    }

    #[test]
    fn a_job_has_one_time_and_something_to_say() {
        let order = read(json!({ "at": "20m", "message": "Drink." })).unwrap().unwrap();
        assert_eq!(order.when, JobWhen::At("20m".into()));
        assert_eq!(order.place, JobSession::Current);
        for (arguments, says) in [
            (json!({ "message": "x" }), "one of"),
            (json!({ "message": "x", "at": "1h", "every": "1h" }), "one of"),
            (json!({ "message": " ", "at": "1h" }), "empty"),
            (json!({ "message": "x".repeat(MAX_TEXT + 1), "at": "1h" }), "more than"),
            (json!({ "message": "x", "at": "1h", "session": "main" }), "session is"),
        ] {
            let refusal = read(arguments).unwrap().unwrap_err();
            assert!(refusal["error"].as_str().unwrap().contains(says), "{refusal}");
        }
        assert!(read(json!({ "message": "x", "at": "1h", "every_ms": 5 })).is_err());
    }
}
