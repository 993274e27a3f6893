//! The policy: one row per method, and what each requires of actor and grant.

use std::fmt;

use crate::target::{
    AgentTarget, AuditRange, RunTarget, SessionTarget, Subject, ToolTarget, Whole,
};
use crate::{Capability, Scope};

/// What the grant that a call rests on must hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Requirement {
    /// Any live grant will do.
    Nothing,
    /// This scope, or one that implies it.
    Scope(Scope),
}

/// What an internal actor must be capable of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ActorRule {
    /// This capability.
    Capability(Capability),
    /// Internal actors never call this; only people, devices and tokens do.
    Never,
    /// Nobody at all calls this.
    Nobody,
}

/// One line of the policy: when it applies, and what it requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Case {
    /// On which targets; empty when on all.
    pub when: &'static str,
    /// What the grant must hold.
    pub requires: Requirement,
    /// What an internal actor must be capable of.
    pub actor: ActorRule,
}

impl Case {
    const fn needs(scope: Scope) -> Self {
        Self { when: "", requires: Requirement::Scope(scope), actor: ActorRule::Never }
    }

    const fn when(self, when: &'static str) -> Self {
        Self { when, ..self }
    }

    /// A case that only internal actors with `capability` meet.
    const fn internal(capability: Capability, requires: Requirement) -> Self {
        Self { when: capability.name(), requires, actor: ActorRule::Capability(capability) }
    }
}

const OPEN: Case = Case { when: "", requires: Requirement::Nothing, actor: ActorRule::Never };
const READ: Case = Case::needs(Scope::Read);
const SESSIONS_READ: Case = Case::needs(Scope::SessionsRead);
const WRITE: Case = Case::needs(Scope::Write);
const ADMIN: Case = Case::needs(Scope::Admin);

/// How a method is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Surface {
    /// By clients, at this gRPC path.
    Rpc(&'static str),
    /// By the gateway's own work only.
    Internal,
}

/// One method of the policy table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Row {
    /// The public name: what audit, errors, docs and `access explain` use.
    pub name: &'static str,
    /// How it is reached.
    pub surface: Surface,
    /// What it requires, by target.
    pub cases: &'static [Case],
    /// What it does.
    pub summary: &'static str,
}

mod sealed {
    #[expect(unnameable_types, reason = "sealed: no other crate may add a method")]
    pub trait Sealed {}
}

/// A method of the policy table, as a type: what [`crate::Authorized`] is proof for.
pub trait Method: sealed::Sealed + Sized + Send + Sync + 'static {
    /// What it acts on, as far as the rules look at it.
    type Target: fmt::Debug + fmt::Display + Clone + Send + Sync + 'static;

    /// Its row of the table.
    const ROW: &'static Row;

    /// Returns the line of the policy that judges a call on `target`.
    fn case(target: &Self::Target) -> &'static Case;
}

macro_rules! methods {
    (@surface internal) => { Surface::Internal };
    (@surface $path:literal) => { Surface::Rpc($path) };
    ($($(#[doc = $doc:literal])* $method:ident($target:ty) = $name:literal, $surface:tt: $cases:tt by $by:path;)*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Debug)]
            pub enum $method {}

            impl sealed::Sealed for $method {}

            impl Method for $method {
                type Target = $target;

                const ROW: &'static Row = &Row {
                    name: $name,
                    surface: methods!(@surface $surface),
                    cases: &$cases,
                    summary: concat!($($doc),*).trim_ascii(),
                };

                fn case(target: &Self::Target) -> &'static Case {
                    $by(target)
                }
            }
        )*

        /// Every method, in the order in which it is declared.
        pub const TABLE: &[&Row] = &[$($method::ROW),*];
    };
}

fn open<T>(_: &T) -> &'static Case {
    &OPEN
}

fn read<T>(_: &T) -> &'static Case {
    &READ
}

fn sessions_read<T>(_: &T) -> &'static Case {
    &SESSIONS_READ
}

fn write<T>(_: &T) -> &'static Case {
    &WRITE
}

fn admin<T>(_: &T) -> &'static Case {
    &ADMIN
}

methods! {
    /// Tells whether the gateway serves.
    Health(Whole) = "health", "/grpc.health.v1.Health/Check": [OPEN] by open;
    /// Tells whenever it starts or stops serving.
    WatchHealth(Whole) = "health.watch", "/grpc.health.v1.Health/Watch": [OPEN] by open;
    /// Describes the services to tools like grpcurl.
    Reflect(Whole) = "reflection", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": [OPEN] by open;
    /// Reports version, load and storage.
    ReadStatus(Whole) = "status", "/openclaw.v1.Gateway/Status": [READ] by read;
    /// Returns the effective configuration without secrets.
    ReadConfig(Whole) = "config.get", "/openclaw.v1.Gateway/GetConfig": [READ] by read;
    /// Explains what a method requires and what the caller or another principal holds.
    ExplainAccess(Subject) = "access.explain", "/openclaw.v1.Access/Explain": [EXPLAIN_SELF, EXPLAIN_OTHERS] by explain_case;
    /// Lists the configured agents.
    ListAgents(Whole) = "agents.list", "/openclaw.v1.Agents/List": [READ] by read;
    /// Shows one agent, with its prompt.
    ReadAgent(AgentTarget) = "agents.get", "/openclaw.v1.Agents/Get": [READ] by read;
    /// Adds an agent to the configuration.
    CreateAgent(AgentTarget) = "agents.create", "/openclaw.v1.Agents/Create": [ADMIN] by admin;
    /// Removes an agent from the configuration; its workspace stays.
    DeleteAgent(AgentTarget) = "agents.delete", "/openclaw.v1.Agents/Delete": [ADMIN] by admin;
    /// Lists the configured models and providers.
    ListModels(Whole) = "models.list", "/openclaw.v1.Models/List": [READ] by read;
    /// Sends a model one small request.
    ProbeModel(Whole) = "models.probe", "/openclaw.v1.Models/Probe": [ADMIN] by admin;
    /// Opens a conversation.
    CreateSession(SessionTarget) = "sessions.create", "/openclaw.v1.Sessions/Create": [WRITE] by write;
    /// Lists conversations.
    ListSessions(Whole) = "sessions.list", "/openclaw.v1.Sessions/List": [SESSIONS_READ] by sessions_read;
    /// Returns one conversation.
    ReadSession(SessionTarget) = "sessions.get", "/openclaw.v1.Sessions/Get": [SESSIONS_READ] by sessions_read;
    /// Returns what was said in a conversation.
    ReadHistory(SessionTarget) = "sessions.history", "/openclaw.v1.Sessions/History": [SESSIONS_READ] by sessions_read;
    /// Runs an agent's turn in a conversation.
    StartRun(SessionTarget) = "agent", "/openclaw.v1.Runs/Start": [WRITE] by write;
    /// Waits for the end of a run, without touching it.
    WaitRun(RunTarget) = "agent.wait", "/openclaw.v1.Runs/Wait": [WRITE] by write;
    /// Lists runs.
    ListRuns(Whole) = "runs.list", "/openclaw.v1.Runs/List": [READ] by read;
    /// Ends a run, whether it waits or works.
    AbortRun(RunTarget) = "sessions.abort", "/openclaw.v1.Runs/Abort": [WRITE] by write;
    /// Lists decisions of the audit log.
    ListAudit(AuditRange) = "audit.list", "/openclaw.v1.Audit/List": [AUDIT_OWN, AUDIT_ALL] by audit_case;
    /// Recomputes the audit chain.
    VerifyAudit(Whole) = "audit.verify", "/openclaw.v1.Audit/Verify": [ADMIN] by admin;
    /// Streams the audit log with what is needed to verify it elsewhere.
    ExportAudit(Whole) = "audit.export", "/openclaw.v1.Audit/Export": [ADMIN] by admin;
    /// Calls a tool in a run.
    InvokeTool(ToolTarget) = "tools.invoke", internal: [EXEC_SANDBOXED, EXEC_UNSANDBOXED, FILES_READ, FILES_WRITE, NET_FETCH, SESSIONS_STATUS] by tool_case;
    /// Ends runs that a crash or a drain left behind.
    RecoverRuns(Whole) = "runs.recover", internal: [RECOVER] by recover_case;
    /// Seals audit rows that have outlived their retention.
    SealAudit(Whole) = "audit.seal", internal: [SEAL] by seal_case;
}

const EXPLAIN_SELF: Case = READ.when("own access");
const EXPLAIN_OTHERS: Case = Case::needs(Scope::Pairing).when("access of others");

const fn explain_case(subject: &Subject) -> &'static Case {
    match subject {
        Subject::Itself => &EXPLAIN_SELF,
        Subject::Other(_) => &EXPLAIN_OTHERS,
    }
}

const AUDIT_OWN: Case = READ.when("own rows");
const AUDIT_ALL: Case = ADMIN.when("all rows");

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the table passes every target alike")]
const fn audit_case(range: &AuditRange) -> &'static Case {
    match range {
        AuditRange::All => &AUDIT_ALL,
        AuditRange::Own => &AUDIT_OWN,
    }
}

const WRITES: Requirement = Requirement::Scope(Scope::Write);
const EXEC_SANDBOXED: Case = Case::internal(Capability::ExecSandboxed, WRITES);
/// Unconfined commands have the rights of the owner's account, so only admin may lend them.
const EXEC_UNSANDBOXED: Case =
    Case::internal(Capability::ExecUnsandboxed, Requirement::Scope(Scope::Admin));
const FILES_READ: Case = Case::internal(Capability::FilesRead, WRITES);
const FILES_WRITE: Case = Case::internal(Capability::FilesWrite, WRITES);
const NET_FETCH: Case = Case::internal(Capability::NetFetch, WRITES);
const SESSIONS_STATUS: Case = Case::internal(Capability::SessionsStatus, WRITES);
const RECOVER: Case = Case::internal(Capability::RunsRecover, Requirement::Nothing);
const SEAL: Case = Case::internal(Capability::AuditSeal, Requirement::Nothing);
/// What judges a tool whose capability no tool may have: nobody meets it.
const NO_TOOL: Case = Case {
    when: "not a tool",
    requires: Requirement::Scope(Scope::Admin),
    actor: ActorRule::Nobody,
};

const fn tool_case(target: &ToolTarget) -> &'static Case {
    match target.capability {
        Capability::ExecSandboxed => &EXEC_SANDBOXED,
        Capability::ExecUnsandboxed => &EXEC_UNSANDBOXED,
        Capability::FilesRead => &FILES_READ,
        Capability::FilesWrite => &FILES_WRITE,
        Capability::NetFetch => &NET_FETCH,
        Capability::SessionsStatus => &SESSIONS_STATUS,
        Capability::AuditSeal | Capability::RunsRecover => &NO_TOOL,
    }
}

fn recover_case<T>(_: &T) -> &'static Case {
    &RECOVER
}

fn seal_case<T>(_: &T) -> &'static Case {
    &SEAL
}

/// Returns the row of a method by its public name or its gRPC path.
pub fn find(name: &str) -> Option<&'static Row> {
    TABLE
        .iter()
        .copied()
        .find(|row| row.name == name || matches!(row.surface, Surface::Rpc(path) if path == name))
}
