//! The state of a gateway: one SQLite database, one writer, domain operations.
//!
//! **Invariant:** an operation is decided, done, recorded in the audit log and made durable in one
//! step, or not at all; its answer comes after the commit.
//!
//! **Invariant:** no row leaves this crate unparsed, and no other crate speaks SQL.

mod act;
mod audit;
mod checkpoint;
mod company;
mod error;
mod filter;
mod grants;
mod handle;
mod idempotency;
mod journal;
mod lock;
mod migrate;
mod note;
mod open;
mod readers;
mod runs;
mod sessions;
mod status;
#[cfg(test)]
mod tests;
mod writer;

pub use act::{ActError, Applied, Ask, Failure, Query, Transaction};
pub use audit::{
    AuditFilter, AuditHead, AuditPage, AuditRecord, Decision, Digest, Entry, Finding, FindingKind,
    ParseHeadError, SealAudit, Verification,
};
pub use error::{Fault, StoreError};
pub use handle::Store;
pub use journal::{History, HistoryPage, JournalEntry};
pub use lock::{LockError, StateLock};
pub use migrate::MigrateError;
pub use note::{ConflictError, Note, NoteOnce, Noted, Peek};
pub use open::{OpenError, Options};
pub use runs::{
    AbortRun, AbortedRun, AcceptRun, Accepted, Ending, FenceError, GetRun, Precedence, RecoverRuns,
    Recovered, RunCursor, RunError, RunFence, RunFilter, RunPage, RunView, Started, Ticket,
};
pub use sessions::{
    Activity, CreateSession, GetSession, Session, SessionCursor, SessionError, SessionFilter,
    SessionPage,
};
pub use status::{GetStatus, StoreStatus};
pub use writer::Clock;
