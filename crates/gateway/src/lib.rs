//! The gateway: who asks, what may happen, and what makes it happen; put together for embedders.
//!
//! **Invariant:** the gateway never connects to itself. Its own work calls the same operations as
//! clients do, in process and as a typed principal; no path leads from it to a socket.
//!
//! **Invariant:** only `identity` asserts who somebody is, and every route asks for it.
//!
//! **Invariant:** no wire type passes `convert`, and only `clock` reads the clock.

mod accept;
mod clock;
mod compose;
mod convert;
mod core;
mod digest;
mod engine;
mod gate;
mod identity;
pub mod offline;
mod orphans;
mod peer;
mod respond;
mod retention;
mod roster;
mod rpc;
mod running;
mod settings;
mod state_dir;
mod task;

pub use accept::BindError;
pub use compose::{Builder, StartError};
pub use openclaw_store::{AuditHead, FindingKind, Verification};
pub use roster::RosterError;
pub use running::{Drained, Gateway};
pub use settings::{Environment, Presence, Settings, SettingsError};
pub use state_dir::{StateDir, StateDirError};
