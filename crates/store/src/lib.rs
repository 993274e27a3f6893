//! The state of a gateway: one SQLite database, one writer, domain operations.
//!
//! **Invariant:** an operation is decided, done, recorded in the audit log and made durable in one
//! step, or not at all; its answer comes after the commit.
//!
//! **Invariant:** no row leaves this crate unparsed, and no other crate speaks SQL.

mod access;
mod act;
mod approvals;
mod audit;
mod checkpoint;
mod children;
mod company;
mod cron;
mod devices;
mod error;
mod events;
mod filter;
mod grants;
mod handle;
mod hooks;
mod idempotency;
mod invitations;
mod journal;
mod lapse;
mod lock;
mod migrate;
mod note;
mod open;
mod outbox;
mod people;
mod processes;
mod readers;
mod runs;
mod sessions;
mod status;
#[cfg(test)]
mod tests;
mod tokens;
mod usage;
mod watch;
mod writer;

pub use access::{AccessFacts, Held, ReadFacts, ShowAccess, Whose};
pub use act::{ActError, Applied, Ask, Failure, Failures, OnEnded, Query, Transaction};
pub use approvals::{
    Answer, AnswerCall, Approval, ApprovalError, ApprovalState, Approve, Deny, ListApprovals,
    ListStanding, Operation, RequestApproval, Requested, RevokeStanding, Standing, Term,
    UseApproval, Used,
};
pub use audit::{
    AuditFilter, AuditHead, AuditPage, AuditRecord, Decision, Digest, Entry, Finding, FindingKind,
    ParseHeadError, SealAudit, Verification,
};
pub use children::{
    Assignment, CancelChild, Cancelled, Child, ChildCursor, ChildError, ChildFilter, ChildPage,
    Cleanup, ContinueSession, Continued, Delegated, DiscardChild, Due, EndedRun, GetChild,
    HandOver, Notice, RetryChild, SendToChild, SpawnChild, SpawnLimits, TOLD,
};
pub use cron::{
    AddJob, Added, AfterRun, AppliedJob, ApplyJobs, Asked, CancelJob, CancelledJob, ClaimedJob,
    CommandEnd, CommandFence, CronFacts, Disabled, DueRow, FireJob, FireWork, Fired, GetJob,
    GivenJob, HEARTBEAT, HeartbeatOf, Job, JobContext, JobCursor, JobDelivery, JobError, JobFate,
    JobFilter, JobGiven, JobNotice, JobNoticeKind, JobNovelty, JobPage, JobPatch, JobPlace, JobRef,
    JobSpec, JobTools, KeepHeartbeats, ListOccurrences, MAX_COMMAND_TEXT, NotFired, Occurrence,
    OccurrenceCursor, OccurrencePage, Outcome, Payload, ReadCron, Rehearsal, RemoveJob, RunJob,
    Switch, UpdateJob,
};
pub use devices::{
    AdmitDevice, Admitted, ApproveRequest, Device, DeviceError, DeviceList, DeviceRef, FileRequest,
    Filed, GetRequest, ListDevices, Novelty, PairingView, Provenance, RejectRequest, RemoveDevice,
    RenameDevice, RenewDevice, RequestUpgrade, RevokeAll, RevokeDevice, Revoked, RotateDevice, Via,
};
pub use error::{Fault, StoreError};
pub use events::{EventError, GetEvent, NewEvent, PutEvent, SystemEvent};
pub use grants::{End, Ended};
pub use handle::Store;
pub use hooks::KeepHooks;
pub use invitations::{
    CreateInvitation, Invitation, ListInvitations, RedeemInvitation, RevokeInvitation,
};
pub use journal::{History, HistoryPage, JournalEntry, Resting};
pub use lock::{LockError, StateLock};
pub use migrate::MigrateError;
pub use note::{ConflictError, Note, NoteOnce, Noted, Peek};
pub use open::{OpenError, Options};
pub use outbox::{
    BODY, Carrier, ClaimedDelivery, Delivery, DeliveryCursor, DeliveryError, DeliveryFence,
    DeliveryFilter, DeliveryPage, DeliveryState, DiscardDelivery, GetDelivery, Lost, LostNotice,
    NewDelivery, Progress, ReplyTo, RetryDelivery, SendGuard, SendMessage, SendPoll, Undelivered,
    WEBHOOK,
};
pub use people::{
    ApprovePerson, FilePerson, FiledPerson, ListPeople, MainOf, People, Person, PersonError,
    PersonRequest, RemovePerson, RemovedPerson, Sharing,
};
pub use processes::{NewProcess, ProcessEnd};
pub use runs::{
    AbortRun, AbortedRun, AcceptRun, Accepted, Context, Ending, FenceError, FoundAt, GetRun,
    Interrupted, Precedence, RecoverRuns, Recovered, RunCursor, RunError, RunFence, RunFilter,
    RunPage, RunView, Started, Ticket,
};
pub use sessions::{
    Activity, Archive, Archived, CompactSession, CreateSession, DeleteSession, Deleted, GetSession,
    NewSendPolicy, Patch, PatchSession, Purged, Reset, ResetNote, ResetSession, SendDenied,
    Session, SessionCursor, SessionError, SessionFilter, SessionPage, Tombstone, UndoReset,
};
pub use status::{GetStatus, StoreStatus};
pub use tokens::{
    ApiToken, CreateToken, ListTokens, Note as TokenNote, RevokeToken, TokenError, TokenGrant,
};
pub use usage::{GetUsage, UsageBy, UsageOf, day_of};
pub use watch::{
    EventFilter, EventKind, EventPage, Family, LoggedEvent, Presence, Since, UnknownKind,
    WatchError, WatchEvents,
};
pub use writer::Clock;
