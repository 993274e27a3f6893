//! The rows of the policy, and the rules that choose the line of a row by its target.

mod authority;
mod events;
mod time;
mod tools;

use self::authority::{
    ADMIN_HANDS_OUT, ADMIT, DEVICE, LIST, LIST_HANDED_OUT, MAKE_OWNER, MANAGE, OWN_DEVICE,
    OWN_LIST, admin_hands_out, admit, approve_person, both, both_of_person, device, granted,
    list_case, list_handed_out, manage, of_others, own_or_manage,
};
use self::events::{
    ALL_PAIRING, ALL_PRESENCE, ALL_SESSIONS, ANY_APPROVALS, NODE, NODE_PRESENCE, OTHERS_CRON,
    OTHERS_DELIVERIES, OTHERS_RUNS, OWN_CRON, OWN_DELIVERIES, OWN_PAIRING, OWN_PRESENCE, OWN_RUNS,
    WATCH, approvals_seen, cron_seen, deliveries_seen, pairing_seen, presence_seen, runs_seen,
    sessions_seen, watch,
};
use self::time::{
    FAR_JOB, FIRE, FIRE_FAR, KEEP, OTHERS_DELIVERY, OTHERS_JOB, OWN_DELIVERY, OWN_JOB, SEND,
    SEND_FAR, add_job, fire_case, keep_case, own_delivery, own_job, send_message,
};
use self::tools::{
    CRON_OWN, EXEC_SANDBOXED, EXEC_UNSANDBOXED, FILES_READ, FILES_WRITE, NET_FETCH,
    SESSIONS_READ_TOOL, SESSIONS_SPAWN, SESSIONS_STATUS, exec_case, tool_case,
};
use super::{ADMIN, OPEN, READ, SESSIONS_READ, WRITE};
use super::{ActorRule, Case, Method, Requirement, Row, Surface, Tokens, sealed};
use crate::target::{
    AgentTarget, ApprovalTarget, AuditRange, Authority, ChannelTarget, DeliveryTarget,
    DestinationTarget, EventTarget, JobTarget, Keeping, Listed, OperationTarget, PatchTarget,
    PersonTarget, RunTarget, SessionPart, SessionTarget, SpawnTarget, Subject, ToolTarget, Whole,
};
use crate::{Capability, GrantHolder, Scope, ScopeSet};

macro_rules! methods {
    (@surface event) => { Surface::Event };
    (@surface internal) => { Surface::Internal };
    (@surface (handshake $path:literal)) => { Surface::Handshake($path) };
    (@touches) => {
        fn touches(_: &Self::Target, _: &GrantHolder) -> ScopeSet {
            ScopeSet::EMPTY
        }
    };
    (@touches $touches:path) => {
        fn touches(target: &Self::Target, holder: &GrantHolder) -> ScopeSet {
            $touches(target, holder)
        }
    };
    (@surface $path:literal) => { Surface::Rpc($path) };
    ($($(#[doc = $doc:literal])* $method:ident($target:ty) = $name:literal, $surface:tt: $cases:tt by $by:path $(, touches $touches:path)?;)*) => {
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

                fn case(target: &Self::Target, holder: &GrantHolder) -> &'static Case {
                    $by(target, holder)
                }

                methods!(@touches $($touches)?);
            }
        )*

        /// Every method, in the order in which it is declared.
        pub const TABLE: &[&Row] = &[$($method::ROW),*];
    };
}

fn open<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &OPEN
}

fn read<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &READ
}

fn sessions_read<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &SESSIONS_READ
}

fn write<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &WRITE
}

fn admin<T>(_: &T, _: &GrantHolder) -> &'static Case {
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
    /// What models have cost.
    ReadUsage(Whole) = "usage", "/openclaw.v1.Gateway/Usage": [READ] by read;
    /// Returns the effective configuration without secrets.
    ReadConfig(Whole) = "config.get", "/openclaw.v1.Gateway/GetConfig": [READ] by read;
    /// Explains what a method requires and what the caller or another principal holds.
    ExplainAccess(Subject) = "access.explain", "/openclaw.v1.Access/Explain": [EXPLAIN_SELF, EXPLAIN_OTHERS] by explain_case;
    /// Shows what a principal may do now, and where each part of it comes from.
    ShowAccess(Subject) = "access.show", "/openclaw.v1.Access/Show": [SHOW_SELF, SHOW_OTHERS] by show_case;
    /// Looks for what weakens the gateway: stale and broad grants, weak permissions, an exposed listener.
    AuditSecurity(Whole) = "security.audit", "/openclaw.v1.Security/Audit": [ADMIN] by admin;
    /// Gives a nonce, which the next connect signs.
    ChallengeDevice(Whole) = "device.challenge", (handshake "/openclaw.v1.Devices/Challenge"): [ADMIT] by admit;
    /// Lets a device in that proves its key, within what was approved; files what it asks for beyond.
    ConnectDevice(Authority) = "device.connect", (handshake "/openclaw.v1.Devices/Connect"): [ADMIT] by admit;
    /// Files what a device asks for beyond what was approved.
    FileRequest(Authority) = "device.pair.request", internal: [ADMIT] by admit;
    /// Pairs the device that shows an invitation's secret first.
    RedeemInvitation(Authority) = "device.pair.redeem", internal: [ADMIT] by admit;
    /// Issues a new access token on a connection that has one.
    RenewDevice(Authority) = "device.renew", "/openclaw.v1.Devices/Renew": [DEVICE] by device;
    /// Asks for more than was approved.
    RequestUpgrade(Authority) = "device.scopes.requestUpgrade", "/openclaw.v1.Devices/RequestUpgrade": [DEVICE] by device;
    /// Waits for what becomes of such a request.
    WaitUpgrade(Authority) = "device.scopes.waitUpgrade", "/openclaw.v1.Devices/WaitUpgrade": [DEVICE] by device;
    /// Lists devices, and requests that wait.
    ListDevices(Listed) = "device.pair.list", "/openclaw.v1.Devices/List": [OWN_LIST, LIST] by list_case;
    /// Grants what a request asks for, or a part of it.
    ApproveDevice(Authority) = "device.pair.approve", "/openclaw.v1.Devices/Approve": [MANAGE] by manage, touches both;
    /// Turns a request down.
    RejectDevice(Authority) = "device.pair.reject", "/openclaw.v1.Devices/Reject": [OWN_DEVICE, MANAGE] by own_or_manage, touches granted;
    /// Forgets a device; it has to pair again.
    RemoveDevice(Authority) = "device.pair.remove", "/openclaw.v1.Devices/Remove": [OWN_DEVICE, MANAGE] by own_or_manage, touches of_others;
    /// Changes what a device is called.
    RenameDevice(Authority) = "device.pair.rename", "/openclaw.v1.Devices/Rename": [OWN_DEVICE, MANAGE] by own_or_manage, touches of_others;
    /// Ends all tokens of a device and sets what its next ones carry, within what was approved.
    RotateDevice(Authority) = "device.token.rotate", "/openclaw.v1.Devices/Rotate": [OWN_DEVICE, MANAGE] by own_or_manage, touches of_others;
    /// Withdraws a device's authority at once.
    RevokeDevice(Authority) = "device.token.revoke", "/openclaw.v1.Devices/Revoke": [OWN_DEVICE, MANAGE] by own_or_manage, touches of_others;
    /// Withdraws the authority of every device, token and invitation, and turns down what waits.
    RevokeAll(Whole) = "device.revokeAll", "/openclaw.v1.Devices/RevokeAll": [ADMIN_HANDS_OUT] by admin_hands_out;
    /// Makes an invitation, with which one device pairs once.
    InviteDevice(Authority) = "device.invite", "/openclaw.v1.Devices/Invite": [MANAGE] by manage, touches both;
    /// Lists the invitations that are open, without their secrets.
    ListInvitations(Whole) = "device.invite.list", "/openclaw.v1.Devices/ListInvitations": [LIST_HANDED_OUT] by list_handed_out;
    /// Withdraws an invitation that nobody has used.
    RevokeInvitation(Authority) = "device.invite.revoke", "/openclaw.v1.Devices/RevokeInvitation": [MANAGE] by manage, touches both;
    /// Issues an API token.
    CreateToken(Authority) = "tokens.create", "/openclaw.v1.Tokens/Create": [MANAGE] by manage, touches both;
    /// Lists API tokens, without their secrets.
    ListTokens(Whole) = "tokens.list", "/openclaw.v1.Tokens/List": [LIST_HANDED_OUT] by list_handed_out;
    /// Withdraws an API token at once.
    RevokeToken(Authority) = "tokens.revoke", "/openclaw.v1.Tokens/Revoke": [MANAGE] by manage, touches both;
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
    /// Changes what a conversation is called, where it is kept, which model answers in it, and what its runs may do.
    PatchSession(PatchTarget) = "sessions.patch", "/openclaw.v1.Sessions/Patch": [ORGANIZE, RUNTIME_POLICY] by patch_session;
    /// Begins a conversation anew; what was said stays, and is not shown to the model any more.
    ResetSession(SessionTarget) = "sessions.reset", "/openclaw.v1.Sessions/Reset": [OWN_SESSION, OTHERS_SESSION] by own_session;
    /// Takes the last reset back.
    UndoReset(SessionTarget) = "sessions.undoReset", "/openclaw.v1.Sessions/UndoReset": [OWN_SESSION, OTHERS_SESSION] by own_session;
    /// Ends what goes on in a conversation, and removes it.
    DeleteSession(SessionTarget) = "sessions.delete", "/openclaw.v1.Sessions/Delete": [OWN_SESSION, BELOW_OWN_SESSION, OTHERS_SESSION, REAP] by delete_session;
    /// Removes conversations that were made for one piece of work and are not used any more.
    CleanupSessions(Whole) = "sessions.cleanup", "/openclaw.v1.Sessions/Cleanup": [ADMIN] by admin;
    /// Lets a summary stand for what was said long ago.
    CompactSession(SessionTarget) = "sessions.compact", "/openclaw.v1.Sessions/Compact": [OWN_SESSION, OTHERS_SESSION] by own_session;
    /// Delegates a task to a sub-agent.
    SpawnChild(SpawnTarget) = "sessions.spawn", "/openclaw.v1.Subagents/Spawn": [SPAWN] by spawn;
    /// Lists sub-agents.
    ListChildren(Whole) = "subagents.list", "/openclaw.v1.Subagents/List": [READ] by read;
    /// Shows one sub-agent, with what came of it.
    ReadChild(RunTarget) = "subagents.get", "/openclaw.v1.Subagents/Get": [READ] by read;
    /// Ends a sub-agent and all below it.
    CancelChild(RunTarget) = "subagents.cancel", "/openclaw.v1.Subagents/Cancel": [OWN_RUN, OTHERS_RUN] by own_run;
    /// Hands over again what could not be handed over.
    RetryChild(RunTarget) = "subagents.retry", "/openclaw.v1.Subagents/Retry": [OWN_RUN, OTHERS_RUN] by own_run;
    /// Gives up what could not be handed over.
    DiscardChild(RunTarget) = "subagents.discard", "/openclaw.v1.Subagents/Discard": [OWN_RUN, OTHERS_RUN] by own_run;
    /// Says something more to a sub-agent, as the conversation that delegated to it.
    SendToChild(SpawnTarget) = "sessions.send", internal: [SESSIONS_SPAWN] by send_case;
    /// Goes on with a conversation whose sub-agents have something to tell.
    ContinueSession(SessionTarget) = "sessions.continue", internal: [CONTINUE] by continue_case;
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
    /// Lists tool calls that wait for an approval, and those that were decided.
    ListApprovals(Whole) = "approvals.list", "/openclaw.v1.Approvals/List": [APPROVALS] by approvals;
    /// Lets exactly the operation be done that was asked for.
    ApproveCall(ApprovalTarget) = "approvals.approve", "/openclaw.v1.Approvals/Approve": [APPROVALS] by approvals;
    /// Turns it down.
    DenyCall(ApprovalTarget) = "approvals.deny", "/openclaw.v1.Approvals/Deny": [APPROVALS] by approvals;
    /// Lists operations that are approved for good.
    ListStanding(Whole) = "approvals.standing", "/openclaw.v1.Approvals/ListStanding": [APPROVALS] by approvals;
    /// Withdraws such an approval.
    RevokeStanding(ApprovalTarget) = "approvals.revoke", "/openclaw.v1.Approvals/RevokeStanding": [APPROVALS] by approvals;
    /// Asks, in a run, that an operation be approved.
    RequestApproval(OperationTarget) = "approvals.request", internal: [EXEC_SANDBOXED, EXEC_UNSANDBOXED] by exec_case;
    /// Uses up, in a run, what was approved.
    UseApproval(OperationTarget) = "approvals.use", internal: [EXEC_SANDBOXED, EXEC_UNSANDBOXED] by exec_case;
    /// Calls a tool in a run.
    InvokeTool(ToolTarget) = "tools.invoke", internal: [CRON_OWN, EXEC_SANDBOXED, EXEC_UNSANDBOXED, FILES_READ, FILES_WRITE, NET_FETCH, SESSIONS_READ_TOOL, SESSIONS_SPAWN, SESSIONS_STATUS] by tool_case;
    /// Has the grants of hooks be as the configuration says.
    KeepHooks(Whole) = "hooks.keep", internal: [ADMIT] by admit;
    /// Has the heartbeats of agents be as the configuration says.
    KeepHeartbeats(Whole) = "heartbeat.keep", internal: [KEEP] by keep_case;
    /// Ends runs that a crash or a drain left behind.
    RecoverRuns(Whole) = "runs.recover", internal: [RECOVER] by recover_case;
    /// Lists jobs.
    ListJobs(Whole) = "cron.list", "/openclaw.v1.Cron/List": [READ] by read;
    /// Shows a job.
    ReadJob(Whole) = "cron.get", "/openclaw.v1.Cron/Get": [READ] by read;
    /// Lists due instants of jobs, and what became of them.
    ListOccurrences(Whole) = "cron.runs", "/openclaw.v1.Cron/Runs": [READ] by read;
    /// Tells how the scheduler is doing.
    ReadCron(Whole) = "cron.status", "/openclaw.v1.Cron/Status": [READ] by read;
    /// Tells when a job or a schedule will be due.
    PreviewJob(Whole) = "cron.preview", "/openclaw.v1.Cron/Preview": [READ] by read;
    /// Adds a job that acts on behalf of the caller, or changes the one with its key.
    AddJob(JobTarget) = "cron.add", "/openclaw.v1.Cron/Add": [OWN_JOB, OTHERS_JOB, FAR_JOB] by add_job;
    /// Changes a job.
    UpdateJob(JobTarget) = "cron.update", "/openclaw.v1.Cron/Update": [OWN_JOB, OTHERS_JOB, FAR_JOB] by own_job;
    /// Ends what a job is at.
    CancelJob(JobTarget) = "cron.cancel", "/openclaw.v1.Cron/Cancel": [OWN_JOB, OTHERS_JOB, FAR_JOB] by own_job;
    /// Lets a job be due now.
    RunJob(JobTarget) = "cron.run", "/openclaw.v1.Cron/Run": [OWN_JOB, OTHERS_JOB, FAR_JOB] by own_job;
    /// Removes a job.
    RemoveJob(JobTarget) = "cron.remove", "/openclaw.v1.Cron/Remove": [OWN_JOB, OTHERS_JOB, FAR_JOB] by own_job;
    /// Has jobs be as a file says: all of them, or none.
    ApplyJobs(Whole) = "cron.apply", "/openclaw.v1.Cron/Apply": [ADMIN] by admin;
    /// Does what a job is for, now that it is due.
    FireJob(JobTarget) = "cron.fire", internal: [FIRE, FIRE_FAR] by fire_case;
    /// Sends a message to a chat platform or a webhook.
    SendMessage(DestinationTarget) = "send", "/openclaw.v1.Messages/Send": [SEND, SEND_FAR] by send_message;
    /// Sends a poll to a chat platform.
    SendPoll(DestinationTarget) = "poll", "/openclaw.v1.Messages/Poll": [WRITE] by write;
    /// Lists what was to leave the gateway, and what has become of it.
    ListDeliveries(Whole) = "delivery.list", "/openclaw.v1.Messages/List": [READ] by read;
    /// Shows one delivery.
    ReadDelivery(Whole) = "delivery.get", "/openclaw.v1.Messages/Get": [READ] by read;
    /// Sends again what did not arrive.
    RetryDelivery(DeliveryTarget) = "delivery.retry", "/openclaw.v1.Messages/Retry": [OWN_DELIVERY, OTHERS_DELIVERY] by own_delivery;
    /// Gives up what did not arrive.
    DiscardDelivery(DeliveryTarget) = "delivery.discard", "/openclaw.v1.Messages/Discard": [OWN_DELIVERY, OTHERS_DELIVERY] by own_delivery;
    /// Tells how the channels are doing.
    ReadChannels(Whole) = "channels.status", "/openclaw.v1.Channels/Status": [READ] by read;
    /// Shows what has happened on a channel lately.
    ReadChannelLog(ChannelTarget) = "channels.logs", "/openclaw.v1.Channels/Logs": [READ] by read;
    /// Adds a chat platform to the configuration, and begins to speak on it.
    AddChannel(ChannelTarget) = "channels.add", "/openclaw.v1.Channels/Add": [ADMIN] by admin;
    /// Has a channel that was stopped speak again.
    StartChannel(ChannelTarget) = "channels.start", "/openclaw.v1.Channels/Start": [ADMIN] by admin;
    /// Has a channel hear and send nothing until it is started again, or the gateway is.
    StopChannel(ChannelTarget) = "channels.stop", "/openclaw.v1.Channels/Stop": [ADMIN] by admin;
    /// Lists who wants to write direct messages, and who was approved.
    ListPeople(Whole) = "channels.pairing.list", "/openclaw.v1.Channels/ListPeople": [LIST_HANDED_OUT] by list_handed_out;
    /// Lets somebody in chats in, or makes an owner of them.
    ApprovePerson(PersonTarget) = "channels.pairing.approve", "/openclaw.v1.Channels/ApprovePerson": [MANAGE, MAKE_OWNER] by approve_person, touches both_of_person;
    /// Takes that back.
    RemovePerson(Authority) = "channels.pairing.remove", "/openclaw.v1.Channels/RemovePerson": [MANAGE] by manage, touches both;
    /// Files what somebody in chats asks for who is not let in.
    FilePerson(Authority) = "channels.pairing.request", internal: [ADMIT] by admit;
    /// Tells a conversation of something that has happened.
    PutEvent(SessionTarget) = "system.event", "/openclaw.v1.System/Event": [WRITE] by write;
    /// Shows what has become of an event.
    ReadEvent(Whole) = "system.event.get", "/openclaw.v1.System/GetEvent": [READ] by read;
    /// Has a conversation take in what waits for it.
    WakeSession(SessionTarget) = "wake", "/openclaw.v1.System/Wake": [WRITE] by write;
    /// Streams what happens, as far as the rows of its kinds let the caller see it.
    WatchEvents(Whole) = "events.watch", "/openclaw.v1.Events/Watch": [WATCH] by watch;
    /// Tells that a run was accepted, began or ended.
    SeeRuns(EventTarget) = "events.runs", event: [OWN_RUNS, OTHERS_RUNS, NODE] by runs_seen;
    /// Tells that a conversation was opened, changed, begun anew or deleted.
    SeeSessions(EventTarget) = "events.sessions", event: [ALL_SESSIONS, NODE] by sessions_seen;
    /// Tells that a job was added, changed or removed, or that one of its due instants began or ended.
    SeeCron(EventTarget) = "events.cron", event: [OWN_CRON, OTHERS_CRON, NODE] by cron_seen;
    /// Tells that something is to leave the gateway, or what has become of it.
    SeeDeliveries(EventTarget) = "events.delivery", event: [OWN_DELIVERIES, OTHERS_DELIVERIES, NODE] by deliveries_seen;
    /// Tells that a device or somebody in chats asks to be let in, or what was decided.
    SeePairing(EventTarget) = "events.pairing", event: [OWN_PAIRING, ALL_PAIRING, NODE] by pairing_seen;
    /// Tells that a tool call waits for an approval, or what was decided.
    SeeApprovals(EventTarget) = "events.approvals", event: [ANY_APPROVALS, NODE] by approvals_seen;
    /// Tells that a device has come or gone.
    SeePresence(EventTarget) = "events.presence", event: [OWN_PRESENCE, ALL_PRESENCE, NODE_PRESENCE] by presence_seen;
    /// Seals audit rows that have outlived their retention.
    SealAudit(Whole) = "audit.seal", internal: [SEAL] by seal_case;
}

const EXPLAIN_SELF: Case = READ.when("own access");
const EXPLAIN_OTHERS: Case = Case::needs(Scope::Pairing).when("access of others");

const fn explain_case(subject: &Subject, _: &GrantHolder) -> &'static Case {
    match subject {
        Subject::Itself => &EXPLAIN_SELF,
        Subject::Other(_) => &EXPLAIN_OTHERS,
    }
}

const SHOW_SELF: Case = READ.when("own access");
const SHOW_OTHERS: Case = ADMIN.when("access of others");

const fn show_case(subject: &Subject, _: &GrantHolder) -> &'static Case {
    match subject {
        Subject::Itself => &SHOW_SELF,
        Subject::Other(_) => &SHOW_OTHERS,
    }
}

/// "Delete what I created" is not "delete anything" with a check afterwards: it is a requirement of its
/// own.
//= docs/threat-model.md#T31
const OWN_SESSION: Case = WRITE.when("own session");
const BELOW_OWN_SESSION: Case = WRITE.when("sub-agent of own session");
const OTHERS_SESSION: Case = ADMIN.when("session of others");
/// What was made for one piece of work is removed by the gateway itself, and nothing else is.
const REAP: Case =
    Case::internal(Capability::SessionsReap, Requirement::Nothing).when("passing session");

const ORGANIZE: Case = WRITE.when("organization and model");
/// Owning a conversation is no right to say what its runs may do.
const RUNTIME_POLICY: Case = ADMIN.when("runtime policy");

const fn patch_session(target: &PatchTarget, _: &GrantHolder) -> &'static Case {
    match target.part {
        SessionPart::Organization => &ORGANIZE,
        SessionPart::RuntimePolicy => &RUNTIME_POLICY,
    }
}

fn own_session(target: &SessionTarget, holder: &GrantHolder) -> &'static Case {
    if target.owner.as_ref() == Some(holder) { &OWN_SESSION } else { &OTHERS_SESSION }
}

fn delete_session(target: &SessionTarget, holder: &GrantHolder) -> &'static Case {
    match (holder, target.keeping) {
        (GrantHolder::Gateway, Keeping::Passing) => &REAP,
        (
            GrantHolder::Device(_)
            | GrantHolder::Gateway
            | GrantHolder::Hook(_)
            | GrantHolder::Owner
            | GrantHolder::Plugin(_)
            | GrantHolder::Sender(_)
            | GrantHolder::Token(_),
            _,
        ) => {
            // What ends with a conversation when that is deleted is whoever's that is.
            if target.above.contains(holder) {
                &BELOW_OWN_SESSION
            } else {
                own_session(target, holder)
            }
        }
    }
}

const SPAWN: Case = Case::shared(Capability::SessionsSpawn, Scope::Write);

fn spawn<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &SPAWN
}

/// A run cancels what its own conversation delegated, and the gateway looks that it is that.
const OWN_RUN: Case = Case::shared(Capability::SessionsSpawn, Scope::Write).when("own run");
const OTHERS_RUN: Case = ADMIN.when("run of others");

fn own_run(target: &RunTarget, holder: &GrantHolder) -> &'static Case {
    if target.owner.as_ref() == Some(holder) { &OWN_RUN } else { &OTHERS_RUN }
}

fn send_case<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &SESSIONS_SPAWN
}

const CONTINUE: Case = Case::internal(Capability::RunsContinue, WRITES);

fn continue_case<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &CONTINUE
}

const AUDIT_OWN: Case = READ.when("own rows");
const AUDIT_ALL: Case = ADMIN.when("all rows");

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the table passes every target alike")]
const fn audit_case(range: &AuditRange, _: &GrantHolder) -> &'static Case {
    match range {
        AuditRange::All => &AUDIT_ALL,
        AuditRange::Own => &AUDIT_OWN,
    }
}

const WRITES: Requirement = Requirement::Scope(Scope::Write);
const RECOVER: Case = Case::internal(Capability::RunsRecover, Requirement::Nothing);
const SEAL: Case = Case::internal(Capability::AuditSeal, Requirement::Nothing);
/// Whoever approves answers for what is done: no run, and nothing else of the gateway.
const APPROVALS: Case = Case::needs(Scope::Approvals);

fn approvals<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &APPROVALS
}

fn recover_case<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &RECOVER
}

fn seal_case<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &SEAL
}
