//! The rules of authority: who may do what, on whose behalf, to what. Pure, without I/O.
//!
//! **Invariant:** this crate performs no I/O, reads no clock, keeps no state and knows no wire
//! format; [`authorize`] is total and has no default that allows.
//!
//! **Invariant:** only [`authorize`] makes an [`Authorized`], and only [`Grant::mint`] makes a grant
//! from another.

mod authorize;
mod capability;
mod explain;
mod grant;
pub mod id;
pub mod method;
pub mod policy;
mod principal;
mod scope;
pub mod target;
mod time;
mod words;

pub use authorize::{Authorized, Denial, authorize};
pub use capability::{Capability, CapabilitySet};
pub use explain::{Explanation, Verdict, explain};
pub use grant::{ChatPerson, Epoch, Grant, GrantHolder, ParseHolderError};
pub use id::{
    AgentId, DeviceId, HookName, IdempotencyKey, InvitationId, JobId, PairingId, ParseIdError,
    PluginId, RunId, SenderId, SessionKey, TokenId, ToolName,
};
pub use principal::{Caller, Cause, Component, DeviceRole, Principal, Standing};
pub use scope::{Scope, ScopeSet, UnknownScope};
pub use target::ToolTarget;
pub use time::Timestamp;
pub use words::command_words;

#[cfg(test)]
mod tests;
