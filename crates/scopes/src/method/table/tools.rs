//! The lines of what runs do with tools.

use super::{ActorRule, Case, Requirement, Tokens, WRITES};
use crate::target::{OperationTarget, ToolTarget};
use crate::{Capability, GrantHolder, Scope};

pub(super) const CRON_OWN: Case = Case::internal(Capability::CronOwn, WRITES);
pub(super) const EXEC_SANDBOXED: Case = Case::internal(Capability::ExecSandboxed, WRITES);
/// Unconfined commands have the rights of the owner's account, so only admin may lend them.
pub(super) const EXEC_UNSANDBOXED: Case =
    Case::internal(Capability::ExecUnsandboxed, Requirement::Scope(Scope::Admin));
pub(super) const FILES_READ: Case = Case::internal(Capability::FilesRead, WRITES);
pub(super) const FILES_WRITE: Case = Case::internal(Capability::FilesWrite, WRITES);
pub(super) const NET_FETCH: Case = Case::internal(Capability::NetFetch, WRITES);
pub(super) const SESSIONS_READ_TOOL: Case = Case::internal(Capability::SessionsRead, WRITES);
pub(super) const SESSIONS_SPAWN: Case = Case::internal(Capability::SessionsSpawn, WRITES);
pub(super) const SESSIONS_STATUS: Case = Case::internal(Capability::SessionsStatus, WRITES);

/// What judges a tool whose capability no tool may have: nobody meets it.
pub(super) const NO_TOOL: Case = Case {
    when: "not a tool",
    requires: Requirement::Scope(Scope::Admin),
    actor: ActorRule::Nobody,
    tokens: Tokens::Refused,
};

pub(super) const fn tool_case(target: &ToolTarget, _: &GrantHolder) -> &'static Case {
    match target.capability {
        Capability::CronOwn => &CRON_OWN,
        Capability::ExecSandboxed => &EXEC_SANDBOXED,
        Capability::ExecUnsandboxed => &EXEC_UNSANDBOXED,
        Capability::FilesRead => &FILES_READ,
        Capability::FilesWrite => &FILES_WRITE,
        Capability::NetFetch => &NET_FETCH,
        Capability::SessionsRead => &SESSIONS_READ_TOOL,
        Capability::SessionsSpawn => &SESSIONS_SPAWN,
        Capability::SessionsStatus => &SESSIONS_STATUS,
        Capability::AuditSeal
        | Capability::CronFire
        | Capability::DevicesAdmit
        | Capability::RunsContinue
        | Capability::RunsRecover
        | Capability::SessionsReap => &NO_TOOL,
    }
}

pub(super) const fn exec_case(target: &OperationTarget, _: &GrantHolder) -> &'static Case {
    match target.tool.capability {
        Capability::ExecSandboxed => &EXEC_SANDBOXED,
        Capability::ExecUnsandboxed => &EXEC_UNSANDBOXED,
        Capability::AuditSeal
        | Capability::CronFire
        | Capability::CronOwn
        | Capability::DevicesAdmit
        | Capability::FilesRead
        | Capability::FilesWrite
        | Capability::NetFetch
        | Capability::RunsContinue
        | Capability::RunsRecover
        | Capability::SessionsRead
        | Capability::SessionsReap
        | Capability::SessionsSpawn
        | Capability::SessionsStatus => &NO_TOOL,
    }
}
