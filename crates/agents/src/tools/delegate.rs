//! The tools with which a run delegates to sub-agents and looks after them.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use openclaw_scopes::Capability;

use super::spec;
use crate::tool::{Arguments, Tool, ToolError, ToolSpec};

/// The longest that `subagents` waits at once (`runtime.md` §3.5 of the reference), and when nobody says.
const MAX_WAIT: u64 = 60;
const DEFAULT_WAIT: u64 = 30;
/// Runs that are named at once at most (`runtime.md` §3.5 of the reference).
const MAX_RUNS: usize = 32;
/// Bytes of a task at most: what a model can be asked in one message.
const MAX_TASK: usize = 256 * 1024;

/// What delegating needs from the world: a port, which the gateway implements for one run.
///
/// Each answer is for the model: a JSON document that says what came of it.
pub trait Delegation: Send + Sync + fmt::Debug {
    /// Delegates a task.
    fn spawn(&self, order: SpawnOrder) -> BoxFuture<'_, Value>;
    /// Lists what the run's conversation delegated.
    fn list(&self) -> BoxFuture<'_, Value>;
    /// Waits until these have ended, or all that were delegated if none is named.
    fn wait(&self, runs: Vec<String>, limit: Duration) -> BoxFuture<'_, Value>;
    /// Ends one of them and all below it.
    fn cancel(&self, run: String) -> BoxFuture<'_, Value>;
    /// Lets the conversation go on only when all that the run delegated have ended.
    fn hold(&self) -> BoxFuture<'_, Value>;
    /// Says something to one of them, and waits so long for what it answers.
    fn send(&self, session: String, message: String, limit: Duration) -> BoxFuture<'_, Value>;
    /// Returns what was said in a conversation below this one.
    fn history(&self, session: String, limit: u64) -> BoxFuture<'_, Value>;
}

/// A task for a sub-agent, as a model gave it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SpawnOrder {
    /// What to do.
    pub task: String,
    /// What people call it.
    pub label: Option<String>,
    /// The agent that does it; the own one if absent.
    pub agent: Option<String>,
    /// The model that answers, as `provider/model`.
    pub model: Option<String>,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// What becomes of its conversation: `keep` or `delete`.
    pub cleanup: Option<String>,
    /// The tools that it may use; all that it could have if absent.
    pub tools: Option<Vec<String>>,
    /// How many tokens one of its runs may use.
    pub max_tokens: Option<u64>,
}

/// Set by `sessions_yield`: the turn ends after the calls of this message.
#[derive(Clone, Debug, Default)]
pub struct YieldFlag(Arc<OnceLock<String>>);

impl YieldFlag {
    /// Ends the turn after the calls of this message, with this as its answer. The first one holds.
    pub fn set(&self, answer: String) {
        self.0.get_or_init(|| answer);
    }

    /// Returns the answer of a turn that is to end.
    pub fn answer(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// Which of the tools this is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    History,
    List,
    Send,
    Spawn,
    Subagents,
    Yield,
}

/// The tools of delegation, for one run.
#[derive(Debug)]
pub struct DelegationTool {
    kind: Kind,
    port: Option<Arc<dyn Delegation>>,
    spec: Arc<ToolSpec>,
    yields: YieldFlag,
}

impl DelegationTool {
    /// All of them, for no run in particular: what a model is told of them does not depend on it.
    pub fn all() -> Vec<Self> {
        let kinds =
            [Kind::Spawn, Kind::Send, Kind::Subagents, Kind::Yield, Kind::List, Kind::History];
        let of = |kind| Self {
            kind,
            port: None,
            spec: Arc::new(describe(kind)),
            yields: YieldFlag::default(),
        };
        kinds.map(of).into()
    }

    /// The same tool for one run.
    #[must_use]
    pub fn for_run(&self, port: Arc<dyn Delegation>, yields: YieldFlag) -> Self {
        Self { kind: self.kind, port: Some(port), spec: Arc::clone(&self.spec), yields }
    }

    async fn run(&self, arguments: Value) -> Result<String, ToolError> {
        let mut arguments = Arguments::new(arguments)?;
        let Some(port) = &self.port else {
            return Err(ToolError::NoSuchTool { tool: self.spec.name.clone() });
        };
        let answer = match self.kind {
            Kind::Spawn => match order(arguments)? {
                Ok(order) => port.spawn(order).await,
                Err(refusal) => refusal,
            },
            Kind::List => {
                arguments.finish()?;
                port.list().await
            }
            Kind::Send => {
                let session = arguments.text("sessionKey")?;
                let message = arguments.text("message")?;
                let limit = arguments.optional_seconds("timeoutSeconds")?;
                arguments.finish()?;
                let limit = limit.unwrap_or(Duration::from_secs(DEFAULT_WAIT));
                if message.trim().is_empty() {
                    error("the message is empty")
                } else if message.len() > MAX_TASK {
                    error(format!("the message has more than {MAX_TASK} bytes"))
                } else {
                    port.send(session, message, limit.min(Duration::from_secs(MAX_WAIT))).await
                }
            }
            Kind::Subagents => subagents(&**port, arguments).await?,
            Kind::Yield => {
                let message = arguments.optional_text("message")?;
                arguments.finish()?;
                let held = port.hold().await;
                self.yields.set(message.unwrap_or_default());
                held
            }
            Kind::History => {
                let session = arguments.text("sessionKey")?;
                let limit = arguments.optional_count("limit")?;
                arguments.finish()?;
                port.history(session, limit.unwrap_or(20).min(200)).await
            }
        };
        Ok(answer.to_string())
    }
}

impl Tool for DelegationTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn capability(&self) -> Capability {
        match self.kind {
            Kind::History | Kind::List => Capability::SessionsRead,
            Kind::Send | Kind::Spawn | Kind::Subagents | Kind::Yield => Capability::SessionsSpawn,
        }
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

/// A refusal in the form in which `sessions_spawn` answers.
fn error(text: impl Into<String>) -> Value {
    json!({ "status": "error", "error": text.into() })
}

/// Reads a task. What is well-formed and not offered here is answered, and not misread.
fn order(mut arguments: Arguments) -> Result<Result<SpawnOrder, Value>, ToolError> {
    let task = arguments.text("task")?;
    let label = arguments.optional_text("label")?;
    let agent = arguments.optional_text("agentId")?;
    let model = arguments.optional_text("model")?;
    let timeout = arguments.optional_seconds("runTimeoutSeconds")?;
    // The older name of the same (`runtime.md` §3.1 of the reference); the newer one wins.
    let older = arguments.optional_seconds("timeoutSeconds")?;
    let cleanup = arguments.optional_text("cleanup")?;
    let tools = arguments.optional_texts("toolsAllow")?;
    let max_tokens = arguments.optional_count("budget")?.filter(|tokens| *tokens > 0);
    let fixed = [
        ("context", "isolated", arguments.optional_text("context")?),
        ("mode", "run", arguments.optional_text("mode")?),
        ("runtime", "subagent", arguments.optional_text("runtime")?),
    ];
    arguments.finish()?;
    for (field, only, said) in fixed {
        if let Some(said) = said.filter(|said| said != only) {
            let said: String = said.chars().take(64).collect();
            return Ok(Err(error(format!("{field} `{said}` is not available; use `{only}`"))));
        }
    }
    if let Some(said) = cleanup.as_deref().filter(|said| !["delete", "keep"].contains(said)) {
        let said: String = said.chars().take(64).collect();
        return Ok(Err(error(format!("cleanup is `keep` or `delete`, not `{said}`"))));
    }
    if task.trim().is_empty() {
        return Ok(Err(error("the task is empty")));
    }
    if task.len() > MAX_TASK {
        let text = format!(
            "the task has more than {MAX_TASK} bytes; write what it needs into a file of the workspace"
        );
        return Ok(Err(error(text)));
    }
    let timeout = timeout.or(older).filter(|timeout| !timeout.is_zero());
    Ok(Ok(SpawnOrder { task, label, agent, model, timeout, cleanup, tools, max_tokens }))
}

async fn subagents(port: &dyn Delegation, mut arguments: Arguments) -> Result<Value, ToolError> {
    let action = arguments.optional_text("action")?.unwrap_or_else(|| "list".to_owned());
    let runs = arguments.optional_texts("runIds")?.unwrap_or_default();
    let seconds = arguments.optional_seconds("timeoutSeconds")?;
    arguments.finish()?;
    if runs.len() > MAX_RUNS {
        return Err(ToolError::argument("runIds", format!("names more than {MAX_RUNS}")));
    }
    match action.as_str() {
        "list" => Ok(port.list().await),
        "wait" => {
            let limit = seconds.unwrap_or(Duration::from_secs(DEFAULT_WAIT));
            Ok(port.wait(runs, limit.min(Duration::from_secs(MAX_WAIT))).await)
        }
        "cancel" => match <[String; 1]>::try_from(runs) {
            Ok([run]) => Ok(port.cancel(run).await),
            Err(_) => Err(ToolError::argument("runIds", "names the one run to cancel")),
        },
        _ => Err(ToolError::argument("action", "is `list`, `wait` or `cancel`")),
    }
}

fn describe(kind: Kind) -> ToolSpec {
    match kind {
        Kind::Spawn => spec(
            "sessions_spawn",
            "Delegates a task to a sub-agent, which works in a conversation of its own and at the \
             same time. You are told its answer when it has ended; go on meanwhile, or end your \
             turn with sessions_yield.",
            &["task"],
            &json!({
                "task": { "type": "string", "description": "everything the sub-agent must know" },
                "label": { "type": "string", "description": "a short name" },
                "agentId": { "type": "string", "description": "the agent that does it; your own if absent, and few others can be named" },
                "model": { "type": "string", "description": "provider/model" },
                "runTimeoutSeconds": { "type": "integer", "minimum": 0 },
                "cleanup": { "type": "string", "enum": ["keep", "delete"] },
                "context": { "type": "string", "enum": ["isolated"] },
                "toolsAllow": { "type": "array", "items": { "type": "string" } },
                "budget": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "how many tokens one turn of it may use; as its agent's if absent",
                },
                "runtime": { "type": "string", "enum": ["subagent"] },
                "mode": { "type": "string", "enum": ["run"] },
                "timeoutSeconds": { "type": "integer", "minimum": 0 },
            }),
        ),
        Kind::Send => spec(
            "sessions_send",
            "Says something more to one of your sub-agents, whose conversation was kept, and waits for \
             its answer. It knows what was said before.",
            &["sessionKey", "message"],
            &json!({
                "sessionKey": { "type": "string", "description": "its conversation" },
                "message": { "type": "string" },
                "timeoutSeconds": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": MAX_WAIT,
                    "description": "how long to wait for its answer",
                },
            }),
        ),
        Kind::Subagents => spec(
            "subagents",
            "Lists the sub-agents of this conversation, waits for them, or cancels one.",
            &[],
            &json!({
                "action": { "type": "string", "enum": ["list", "wait", "cancel"] },
                "runIds": { "type": "array", "items": { "type": "string" } },
                "timeoutSeconds": { "type": "integer", "minimum": 0, "maximum": MAX_WAIT },
            }),
        ),
        Kind::Yield => spec(
            "sessions_yield",
            "Ends this turn. You go on when all sub-agents that you spawned in it have ended.",
            &[],
            &json!({ "message": { "type": "string" } }),
        ),
        Kind::List => {
            spec("sessions_list", "Lists the conversations of your sub-agents.", &[], &json!({}))
        }
        Kind::History => spec(
            "sessions_history",
            "Shows what was said in the conversation of one of your sub-agents, the newest last.",
            &["sessionKey"],
            &json!({
                "sessionKey": { "type": "string" },
                "limit": { "type": "integer", "minimum": 1, "maximum": 200 },
            }),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: Value) -> Result<Result<SpawnOrder, Value>, ToolError> {
        order(Arguments::new(arguments).unwrap())
    }

    /// The literal payload of report 77807.
    #[test]
    fn the_payload_of_the_report_is_taken() {
        let payload = json!({
            "runtime": "subagent",
            "mode": "run",
            "label": "subagent-smoke-test",
            "task": "Smoke test. Reply briefly. Do not use tools.",
            "timeoutSeconds": 120,
            "runTimeoutSeconds": 120
        });
        let order = read(payload).unwrap().unwrap();
        assert_eq!(order.label.as_deref(), Some("subagent-smoke-test"));
        assert_eq!(order.timeout, Some(Duration::from_secs(120)));
    }

    #[test]
    fn what_is_not_offered_is_said_and_not_misread() {
        for (field, value) in [
            ("runtime", json!("acp")),
            ("mode", json!("session")),
            ("context", json!("fork")),
            ("cleanup", json!("maybe")),
            ("task", json!("  ")),
            ("task", json!("x".repeat(MAX_TASK + 1))),
        ] {
            let mut payload = json!({ "task": "t" });
            payload[field] = value;
            let refusal = read(payload).unwrap().unwrap_err();
            assert_eq!(refusal["status"], "error", "{field}");
            assert!(refusal.get("childSessionKey").is_none() && refusal.get("runId").is_none());
        }
        for payload in [
            json!({}),
            json!({ "task": 1 }),
            json!({ "task": "t", "channel": "x" }),
            json!({ "task": "t", "toolsAllow": "exec" }),
            json!({ "task": "t", "runTimeoutSeconds": -1 }),
        ] {
            assert!(read(payload.clone()).is_err(), "{payload}");
        }
    }

    #[test]
    fn no_time_is_no_limit() {
        let order = read(json!({ "task": "t", "runTimeoutSeconds": 0 })).unwrap().unwrap();
        assert_eq!(order.timeout, None);
    }
}
