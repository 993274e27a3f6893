//! The one place where outcomes become status codes, with what is missing and what to do next.

mod devices;

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_scopes::method::Row;
use openclaw_scopes::{Denial, ScopeSet};
use openclaw_sessions::EnqueueError;
use openclaw_store::{
    ActError, ApprovalError, ChildError, DeliveryError, EventError, JobError, PersonError,
    RunError, SendDenied, SessionError, StoreError, WatchError,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetail, ErrorInfo, Help, RetryInfo, StatusExt as _};

use crate::engine::StartError;
use crate::limiter::Locked;

pub(crate) use devices::{device, rotation, token};

/// Who defines the reasons.
const DOMAIN: &str = "openclaw";
/// Where the words of errors are explained.
const HELP: &str = "https://github.com/openclaw/openclaw-gateway-rs/blob/main/docs/cli.md#errors";

/// What a device does whose authority was withdrawn.
pub(crate) const ASK_ANEW: &str = "openclaw connect on the device asks for a new approval, or openclaw connect LINK with an \
     invitation";

/// The public face of a failure.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reply {
    code: Code,
    metadata: BTreeMap<&'static str, String>,
    message: String,
    next: Option<String>,
    reason: &'static str,
    retry: Option<Duration>,
}

impl Reply {
    pub(crate) fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        let (metadata, next, retry) = (BTreeMap::new(), None, None);
        Self { code, metadata, message: message.into(), next, reason, retry }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, "", message)
    }

    /// Our mistake: the peer is told an id, the log what went wrong.
    pub(crate) fn internal(what: &dyn std::fmt::Debug) -> Self {
        let id = format!("{:016x}", rand_id());
        tracing::error!(error.id = id, error = ?what, "internal error");
        Self::new(Code::Internal, "INTERNAL", format!("internal error {id}"))
            .with("errorId", id)
            .next("look for the id in the gateway's log")
    }

    pub(crate) fn draining() -> Self {
        Self::new(Code::Unavailable, "DRAINING", "the gateway is stopping")
            .retry(Duration::from_secs(5))
            .next("retry after it has started again")
    }

    /// The same with other words.
    pub(crate) fn saying(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }

    pub(crate) fn malformed_key(error: &dyn std::fmt::Display) -> Self {
        Self::new(Code::InvalidArgument, "MALFORMED_KEY", error.to_string())
            .next("session keys look like `main` or `agent:main:explicit:notes`")
    }

    pub(crate) fn unknown_agent(agent: &dyn std::fmt::Display) -> Self {
        Self::new(Code::NotFound, "UNKNOWN_AGENT", format!("no agent `{agent}` is configured"))
            .next("openclaw agents list")
    }

    pub(crate) fn unknown_method(method: &str) -> Self {
        let shown: String = method.chars().take(64).collect();
        Self::new(
            Code::InvalidArgument,
            "UNKNOWN_METHOD",
            format!("no method `{}`", shown.escape_debug()),
        )
        .next("docs/policy.md lists all methods")
    }

    pub(crate) fn denied(denial: Denial, row: &Row) -> Self {
        let reply = |reason| Self::new(Code::PermissionDenied, reason, denial.to_string());
        let explain = format!("openclaw access explain {}", row.name);
        let lacking = |reason, scopes: ScopeSet| {
            reply(reason)
                .with("missingScopes", scopes.to_string())
                .with("grant", denial.smallest_grant().to_string())
                .next(explain.clone())
        };
        match denial {
            Denial::MissingScope(scopes) => lacking("MISSING_SCOPE", scopes),
            Denial::TooNarrow(scopes) => lacking("APPROVER_TOO_NARROW", scopes),
            Denial::GrantEnded => reply("DEVICE_REVOKED").next(ASK_ANEW),
            Denial::GrantReplaced => {
                Self::new(Code::Unauthenticated, "TOKEN_REVOKED", denial.to_string())
                    .next("connect again")
            }
            Denial::Internal
            | Denial::MissingCapability(_)
            | Denial::OnlyInternal(_)
            | Denial::TokenMayNot => reply("NOT_OWNER").next(explain),
        }
    }

    pub(crate) fn rate_limited(locked: &Locked) -> Self {
        Self::new(Code::ResourceExhausted, "RATE_LIMITED", locked.to_string())
            .retry(locked.retry_after)
            .next("wait, and check the credential")
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn advice(self) -> Option<String> {
        self.next
    }

    pub(crate) const fn reason(&self) -> &'static str {
        self.reason
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.metadata.insert(name, value.into());
        self
    }

    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    pub(crate) const fn retry(mut self, after: Duration) -> Self {
        self.retry = Some(after);
        self
    }
}

impl From<Reply> for Status {
    fn from(reply: Reply) -> Self {
        let metadata = reply.metadata.into_iter().map(|(name, value)| (name.to_owned(), value));
        let info = ErrorInfo {
            reason: reply.reason.into(),
            domain: DOMAIN.into(),
            metadata: metadata.collect(),
        };
        let mut details = Vec::new();
        // The list of reasons is closed; where none fits, the code and the words say all.
        if !info.reason.is_empty() {
            details.push(ErrorDetail::from(info));
        }
        details.extend(reply.retry.map(|after| RetryInfo::new(Some(after)).into()));
        details.extend(reply.next.map(|next| Help::with_link(next, HELP).into()));
        Self::with_error_details_vec(reply.code, reply.message, details)
    }
}

fn rand_id() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_be_bytes(bytes),
        // Without randomness the id is zero, and the log line stands all the same.
        Err(_) => 0,
    }
}

/// The public face of a failure that the storage may also cause.
pub(crate) fn act<E>(error: ActError<E>, row: &Row, failed: impl FnOnce(&E) -> Reply) -> Reply {
    match error {
        ActError::Denied(denial) => Reply::denied(denial, row),
        ActError::Failed(error) => failed(&error),
        ActError::Store(error) => store(&error),
    }
}

pub(crate) fn store(error: &StoreError) -> Reply {
    match error {
        StoreError::Closed => Reply::draining(),
        StoreError::Corrupt(_) => {
            tracing::error!(%error, "storage is damaged");
            Reply::new(Code::DataLoss, "STORAGE_CORRUPT", "the database is damaged")
                .next("stop the gateway and restore a copy of gateway.db")
        }
        StoreError::Full => Reply::new(Code::ResourceExhausted, "STORAGE_FULL", error.to_string())
            .retry(Duration::from_secs(60))
            .next("free space on the disk of the state directory"),
        StoreError::Io(_) => Reply::internal(error),
        StoreError::ReadOnly => Reply::new(Code::FailedPrecondition, "INTERNAL", error.to_string())
            .next("make the state directory writable for the gateway's user"),
    }
}

pub(crate) fn session(error: &SessionError) -> Reply {
    match error {
        SessionError::Busy(key) => {
            let list = format!("openclaw runs list --session {key} --status queued,running");
            Reply::new(Code::FailedPrecondition, "SESSION_BUSY", error.to_string())
                .retry(Duration::from_secs(10))
                .next(format!("{list}, then runs wait or runs abort"))
        }
        SessionError::Changed(_) => {
            Reply::new(Code::Aborted, "SESSION_CHANGED", error.to_string()).next("try it again")
        }
        SessionError::IdempotencyConflict => conflict(),
        SessionError::Main(_) => Reply::new(Code::FailedPrecondition, "", error.to_string())
            .next("openclaw sessions reset, which begins it anew"),
        SessionError::NoReset(key) => Reply::new(Code::FailedPrecondition, "", error.to_string())
            .next(format!("openclaw sessions show {key}")),
        SessionError::Undelegated(_) => undelegated(error.to_string()),
        SessionError::Unknown(_) => {
            Reply::new(Code::NotFound, "", error.to_string()).next("openclaw sessions list")
        }
    }
}

pub(crate) fn run(error: &RunError) -> Reply {
    match error {
        RunError::Archived(session) => Reply::new(Code::FailedPrecondition, "", error.to_string())
            .next(format!("openclaw sessions unarchive {session}")),
        RunError::GrantEnded(_) => {
            Reply::new(Code::PermissionDenied, "DEVICE_REVOKED", error.to_string())
        }
        RunError::IdempotencyConflict => conflict(),
        RunError::NoPlace(_) => {
            Reply::new(Code::ResourceExhausted, "SESSION_BUSY", error.to_string())
                .retry(Duration::from_secs(10))
                .next("openclaw runs list --status queued")
        }
        RunError::Undelegated(_) => undelegated(error.to_string()),
        RunError::Unknown(_) => {
            Reply::new(Code::NotFound, "", error.to_string()).next("openclaw runs list")
        }
    }
}

/// The public face of what can go wrong with delegation.
pub(crate) fn child(error: &ChildError) -> Reply {
    let said = || error.to_string();
    match error {
        ChildError::Archived(session) => Reply::new(Code::FailedPrecondition, "", said())
            .next(format!("openclaw sessions unarchive {session}")),
        ChildError::Gone(_) => Reply::new(Code::AlreadyExists, "IDEMPOTENCY_CONFLICT", said())
            .next("send a new random key, and the same one on a retry"),
        ChildError::IdempotencyConflict => conflict(),
        ChildError::NothingToHandOver(_) => {
            Reply::new(Code::FailedPrecondition, "", said()).next("openclaw subagents list")
        }
        ChildError::Alone { .. } | ChildError::Superseded(_) => {
            Reply::new(Code::FailedPrecondition, "", said())
        }
        ChildError::TooDeep { .. } => Reply::new(Code::ResourceExhausted, "LIMIT_EXCEEDED", said())
            .next("let a conversation further up delegate it"),
        ChildError::TooMany { .. } => Reply::new(Code::ResourceExhausted, "LIMIT_EXCEEDED", said())
            .retry(Duration::from_secs(10))
            .next("openclaw subagents list --open"),
        ChildError::Unknown(_) => {
            Reply::new(Code::NotFound, "", said()).next("openclaw subagents list")
        }
        ChildError::UnknownParent(_) => {
            Reply::new(Code::NotFound, "", said()).next("openclaw sessions list")
        }
    }
}

/// The public face of what can go wrong with deliveries.
pub(crate) fn delivery(error: &DeliveryError) -> Reply {
    let said = || error.to_string();
    match error {
        DeliveryError::IdempotencyConflict => conflict(),
        DeliveryError::SendPolicy { by, .. } => {
            let reply = Reply::new(Code::FailedPrecondition, "", said());
            match by {
                SendDenied::Rules => reply.next("openclaw config show"),
                SendDenied::Session(key) => {
                    reply.next(format!("openclaw sessions send-policy {key} allow"))
                }
            }
        }
        DeliveryError::Settled { id, .. } => Reply::new(Code::FailedPrecondition, "", said())
            .next(format!("openclaw delivery show {id}")),
        DeliveryError::TooMany { .. } => {
            Reply::new(Code::ResourceExhausted, "LIMIT_EXCEEDED", said())
                .retry(Duration::from_secs(60))
                .next("openclaw channels status")
        }
        DeliveryError::Unknown(_) => {
            Reply::new(Code::NotFound, "", said()).next("openclaw delivery list")
        }
    }
}

/// The public face of what can go wrong with system events.
pub(crate) fn event(error: &EventError) -> Reply {
    let said = || error.to_string();
    match error {
        EventError::Archived(session) => Reply::new(Code::FailedPrecondition, "", said())
            .next(format!("openclaw sessions unarchive {session}")),
        EventError::IdempotencyConflict => conflict(),
        EventError::Undelegated(_) => Reply::new(Code::InvalidArgument, "MALFORMED_KEY", said())
            .next("openclaw subagents spawn"),
        EventError::Unknown(_) => Reply::new(Code::NotFound, "", said())
            .next("openclaw sessions history shows what was told"),
    }
}

/// The public face of what can go wrong with watching.
pub(crate) fn watch(error: &WatchError) -> Reply {
    match error {
        WatchError::Expired { latest, .. } => Reply::new(Code::OutOfRange, "", error.to_string())
            .next(format!("openclaw events, then openclaw events --follow --since-seq {latest}")),
        WatchError::Future { .. } => Reply::invalid(error.to_string()).next("openclaw events"),
    }
}

/// The public face of what can go wrong with people in chats.
pub(crate) fn person(error: &PersonError) -> Reply {
    match error {
        PersonError::SharesMain(_) => Reply::new(Code::FailedPrecondition, "", error.to_string())
            .next(
                "set session.dmScope = \"per-channel-peer\" in openclaw.toml, or approve with --share-main",
            ),
        PersonError::Unknown { .. } => {
            Reply::new(Code::NotFound, "", error.to_string()).next("openclaw pairing list")
        }
    }
}

/// The public face of what can go wrong with jobs.
pub(crate) fn job(error: &JobError) -> Reply {
    let said = || error.to_string();
    match error {
        JobError::Ambiguous { .. } => {
            Reply::new(Code::FailedPrecondition, "", said()).next("openclaw cron list --all")
        }
        JobError::Changed { job, .. } => {
            Reply::new(Code::Aborted, "", said()).next(format!("openclaw cron show {job}"))
        }
        JobError::IdempotencyConflict => conflict(),
        JobError::In { error, .. } => job(error).saying(&said()),
        JobError::Idle(job) => Reply::new(Code::FailedPrecondition, "", said())
            .next(format!("openclaw cron runs {job}")),
        JobError::Kept(_) => Reply::new(Code::FailedPrecondition, "", said())
            .next("edit agents.defaults.heartbeat in the file, or openclaw heartbeat set off"),
        JobError::NeverDue(_) => Reply::invalid(said()).next("openclaw cron preview"),
        JobError::Place(session) => Reply::new(Code::FailedPrecondition, "", said())
            .next(format!("openclaw sessions unarchive {session}")),
        JobError::Requests { job, .. } => {
            Reply::new(Code::ResourceExhausted, "LIMIT_EXCEEDED", said())
                .retry(Duration::from_secs(60))
                .next(format!("openclaw cron cancel {job}"))
        }
        JobError::Schedule(_) => Reply::invalid(said()).next("openclaw cron edit --help"),
        JobError::TooMany { .. } => Reply::new(Code::ResourceExhausted, "LIMIT_EXCEEDED", said())
            .next("openclaw cron list --all"),
        JobError::Unknown(_) => {
            Reply::new(Code::NotFound, "", said()).next("openclaw cron list --all")
        }
    }
}

/// The public face of what can go wrong with approvals of tool calls.
pub(crate) fn approval(error: &ApprovalError) -> Reply {
    match error {
        ApprovalError::Decided { .. } => {
            Reply::new(Code::FailedPrecondition, "", error.to_string())
                .next("openclaw approvals list --all")
        }
        ApprovalError::TooMany { .. } => {
            Reply::new(Code::ResourceExhausted, "LIMIT_EXCEEDED", error.to_string())
                .next("openclaw approvals list")
        }
        ApprovalError::Unknown(id) => {
            let list = if id.starts_with("sa-") { "standing" } else { "list --all" };
            let next = format!("openclaw approvals {list}");
            Reply::new(Code::NotFound, "", error.to_string()).next(next)
        }
    }
}

fn undelegated(text: String) -> Reply {
    Reply::new(Code::FailedPrecondition, "", text)
        .next("openclaw subagents spawn --session main --task TEXT")
}

pub(crate) fn conflict() -> Reply {
    let message = "the idempotency key was used for another request";
    Reply::new(Code::AlreadyExists, "IDEMPOTENCY_CONFLICT", message).next("use a new key")
}

pub(crate) fn start(error: StartError, row: &Row) -> Reply {
    match error {
        StartError::Act(error) => act(error, row, run),
        StartError::Draining => Reply::draining(),
        StartError::Full(error) => full(&error),
        StartError::UnknownAgent(agent) => Reply::unknown_agent(&agent),
    }
}

fn full(error: &EnqueueError) -> Reply {
    match error {
        EnqueueError::Duplicate { .. } => Reply::internal(error),
        EnqueueError::Full { .. } => {
            Reply::new(Code::ResourceExhausted, "LIMIT_EXCEEDED", error.to_string())
                .retry(Duration::from_secs(10))
                .next("openclaw runs list --status queued")
        }
        EnqueueError::SessionFull { .. } => {
            Reply::new(Code::ResourceExhausted, "SESSION_BUSY", error.to_string())
                .retry(Duration::from_secs(10))
                .next("openclaw runs list --status queued")
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_scopes::Scope;
    use openclaw_scopes::method::{Method as _, StartRun};

    use super::*;

    #[test]
    fn a_missing_scope_teaches() {
        let status =
            Status::from(Reply::denied(Denial::MissingScope(Scope::Write.into()), StartRun::ROW));
        assert_eq!(
            (status.code(), status.message()),
            (Code::PermissionDenied, "missing scope: operator.write")
        );
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("MISSING_SCOPE", "openclaw"));
        assert_eq!(info.metadata["missingScopes"], "operator.write");
        assert_eq!(info.metadata["grant"], "operator.write");
        assert_eq!(details.help().unwrap().links[0].description, "openclaw access explain agent");
    }

    #[test]
    fn our_own_mistakes_are_not_told() {
        let reply = store(&StoreError::Io("secret path".into()));
        assert!(!reply.message.contains("secret"), "{}", reply.message);
        assert_eq!(reply.code, Code::Internal);
    }
}
